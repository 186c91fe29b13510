"""Translation by Apertium's rules, which Debian packages: one long-lived pipe of programs a direction."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import weakref
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sentemb.augment.translators import one_line
from sentemb.errors import ConfigError, ModelError, shortened

_DATA_DIR = "/usr/share/apertium"
_DEATHS = 3
"""So many deaths of the pipe without an answer between them are no accident."""
_END_OF_TEXT = b"[]\0"
"""An empty blank first: without one the analyser loses a full stop at the end and the transfer keeps the text back."""
_RESERVED = re.compile(r"([\\\[\]{}^$@<>/])")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class ApertiumTranslator:
    """One direction of an Apertium pair (Forcada et al. 2011), such as eng-spa; unknown words stay as they are.

    The programs of the direction's mode file are started once, without a shell, in null-flush mode (`-z`): a text goes
    in with a NUL behind it, and so does its translation come out. Marks of unknown words are off (`lt-proc -n`, what
    `apertium -u` sets). A pipe that dies is started again, and goes on at the first text without an answer.
    The `apertium` script isn't used: its gawk keeps an answer back until the next text is there.

    Args:
        pair: from and to, as Apertium names its modes: `eng-spa`.
        data_dir: Apertium's folder; None: APERTIUM_DATADIR, else /usr/share/apertium.
        wait_seconds: without an answer for so long, the pipe is taken for dead.

    Attributes:
        identity: the pair and a digest of its mode and data.

    Raises:
        ConfigError: Apertium or the pair is not installed.
    """

    def __init__(self, pair: str, *, data_dir: Path | None = None, wait_seconds: float = 60.0) -> None:
        self.pair, self.wait_seconds = pair, wait_seconds
        self._commands = _commands(pair, data_dir or Path(os.environ.get("APERTIUM_DATADIR", _DATA_DIR)))
        self._pipe: _Pipe | None = None
        self.identity = f"apertium {pair} {_digest(self._commands)}, unknown words unmarked"

    def __call__(self, texts: list[str]) -> list[str]:
        """N translations, one line each; blank for a blank text.

        Raises:
            ModelError: the pipe dies again and again.
        """
        lines = [one_line(text) for text in texts]
        pending = [row for row, line in enumerate(lines) if line]
        translations, deaths = [""] * len(texts), 0
        while pending:
            sent = pending[:1] if deaths else pending  # after a death one by one, so that the text at fault is known
            answers = self._running().answers([lines[row] for row in sent])
            for row, answer in zip(sent, answers, strict=False):
                translations[row] = answer
            pending = pending[len(answers) :]
            deaths = 0 if answers else deaths + 1
            if len(answers) < len(sent):
                self.close()
            if deaths == _DEATHS:
                raise ModelError(
                    f"apertium {self.pair}",
                    f"its programs died {_DEATHS} times in a row, at the text {shortened(lines[pending[0]])}",
                    f"Leave the text out, or see what this says: echo hello | apertium {self.pair}",
                )
        return translations

    def close(self) -> None:
        """Ends the programs; the next call starts them again."""
        if self._pipe is not None:
            self._pipe.stop()
            self._pipe = None

    def _running(self) -> _Pipe:
        if self._pipe is None or self._pipe.owner != os.getpid():  # a fork must not write into its parent's pipe
            self._pipe = _Pipe(self._commands, self.wait_seconds)
        return self._pipe

    def __getstate__(self) -> dict[str, Any]:
        """All but the pipe; a worker process starts its own."""
        return self.__dict__ | {"_pipe": None}


class _Pipe:
    """The running programs, each reading what the one before writes."""

    def __init__(self, commands: Sequence[Sequence[str]], wait_seconds: float) -> None:
        self.owner, self.wait_seconds = os.getpid(), wait_seconds
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        programs: list[subprocess.Popen[bytes]] = []
        source: Any = subprocess.PIPE
        for command in commands:
            program = subprocess.Popen(
                command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, bufsize=0
            )
            if programs:
                source.close()  # the next program has its own
            programs.append(program)
            source = program.stdout
        self._stdin, self._stdout = programs[0].stdin, programs[-1].stdout
        os.set_blocking(self._stdin.fileno(), False)  # type: ignore[union-attr]
        self.stop = weakref.finalize(self, _end, programs, self.owner)

    def answers(self, lines: Sequence[str]) -> list[str]:
        """The translations of the first lines: of all, or of those before the pipe died."""
        stdin, stdout = self._stdin.fileno(), self._stdout.fileno()  # type: ignore[union-attr]
        waiting = memoryview(b"".join(_RESERVED.sub(r"\\\1", line).encode() + _END_OF_TEXT for line in lines))
        sent, received, answered = 0, bytearray(), 0
        while answered < len(lines):
            wants = [stdin] if sent < len(waiting) else []
            readable, writable, _ = select.select([stdout], wants, [], self.wait_seconds)
            if not readable and not writable:
                break
            if writable:
                try:
                    sent += os.write(stdin, waiting[sent:])
                except BrokenPipeError:
                    sent = len(waiting)  # what is on its way out may still come
            if readable:
                piece = os.read(stdout, 65_536)
                if not piece:
                    break
                received += piece
                answered += piece.count(b"\0")
        return [_plain(each) for each in bytes(received).split(b"\0")[:-1]]


def _plain(answer: bytes) -> str:
    """The text in what Apertium writes: without the blank at the end, the escapes and doubled spaces."""
    text = answer.decode("utf-8", "replace").removesuffix("[]")
    return " ".join(_ESCAPED.sub(r"\1", text).split())


def _end(programs: Sequence[subprocess.Popen[bytes]], owner: int) -> None:
    """Ends the programs, in the process that started them."""
    if os.getpid() != owner:
        return
    for program in programs:
        program.kill()
    for program in programs:
        program.wait()
        for stream in (program.stdin, program.stdout):
            if stream is not None:
                stream.close()


def _commands(pair: str, data_dir: Path) -> list[list[str]]:
    """The programs of a mode file, which is a shell pipeline with $1 and $2 for options of generator and tagger."""
    mode = data_dir / "modes" / f"{pair}.mode"
    package = f"apertium-{'-'.join(sorted(pair.split('-')))}"
    remedy = f"Install it: apt-get install {package} (Debian, Ubuntu)"
    if not mode.is_file():
        known = ", ".join(sorted(file.stem for file in mode.parent.glob("*.mode"))) or "none"
        raise ConfigError(f"apertium {pair}", f"is not installed: there is no {mode} (pairs there: {known})", remedy)
    commands: list[list[str]] = [[]]
    for word in shlex.split(mode.read_text(encoding="utf-8")):
        if word == "|":
            commands.append([])
        elif word != "$2":
            commands[-1].append("-n" if word == "$1" else word)
    for command in commands:
        if not command or shutil.which(command[0]) is None:
            missing = command[0] if command else "a program"
            raise ConfigError(f"apertium {pair}", f"{mode} runs {missing}, which is not installed", remedy)
        command.insert(1, "-z")
    return commands


def _digest(commands: Sequence[Sequence[str]]) -> str:
    """Of the commands and the data files that they name."""
    digest = blake2b(digest_size=8)
    for word in (word for command in commands for word in command):
        digest.update(word.encode() + b"\0")
        if os.path.isfile(word):
            digest.update(Path(word).read_bytes())
    return digest.hexdigest()
