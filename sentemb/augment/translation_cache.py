"""Translations kept on disk, so that nothing is translated twice and a killed run goes on where it was."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path

from sentemb.augment.translators import CutTranslation
from sentemb.errors import DataError, OutputError, SentembError
from sentemb.saving import writing

_KEYS_PER_QUERY = 500
_APPLICATION = 0x73656D62
"""Marks the file as ours: `semb` in ASCII."""
_VERSION = 1
_FOREIGN = "holds another kind of database"


class TranslationCache:
    """A SQLite file, `translations.sqlite`, from a key to a translation.

    It is in write-ahead mode: processes on one machine read and write it at once, and each `put` is one transaction,
    which a kill leaves whole or absent. A file system that is shared over a network can't hold it. Each call opens the
    file anew, so that an object may be pickled, forked and used in any thread.

    Args:
        folder: where the file is; made at the first `put`.
        wait_seconds: how long a call waits for another process that writes.

    Raises:
        DataError: the file is damaged, or is something else.
        OutputError: it can't be opened or written to, or another process holds it for too long.
    """

    def __init__(self, folder: Path, *, wait_seconds: float = 60.0) -> None:
        self.file = folder / "translations.sqlite"
        self.wait_seconds = wait_seconds

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The translations that are there, by their keys; a `CutTranslation` comes back as one."""
        found: dict[bytes, str] = {}
        if not keys or not self.file.exists():
            return found
        with self._saying_what_is_wrong(), closing(self._open()) as connection:
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[start : start + _KEYS_PER_QUERY]
                marks = ", ".join("?" * len(some))
                query = f"SELECT key, translation, cut FROM translations WHERE key IN ({marks})"
                for key, stored, cut in connection.execute(query, some):
                    text = stored.decode("utf-8", "surrogatepass")
                    found[key] = CutTranslation(text) if cut else text
        return found

    def put(self, translations: Mapping[bytes, str]) -> None:
        """Keeps translations, all in one transaction; what is there already stays."""
        rows = [
            (key, text.encode("utf-8", "surrogatepass"), isinstance(text, CutTranslation))
            for key, text in translations.items()
        ]
        with writing(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._saying_what_is_wrong(), closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO translations VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        """A connection to a file that has its table."""
        connection = sqlite3.connect(self.file, timeout=self.wait_seconds, isolation_level=None)
        try:
            self._write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing, a power cut the last commits
            ((application,),) = connection.execute("PRAGMA application_id")
            ((version,),) = connection.execute("PRAGMA user_version")
            if application == 0:
                self._make_table(connection)
            elif (application, version) != (_APPLICATION, _VERSION):
                raise sqlite3.DatabaseError(_FOREIGN)
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Sets the mode; SQLite doesn't wait for another process that is just doing the same."""
        until = time.monotonic() + self.wait_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _make_table(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        ((application,),) = connection.execute("PRAGMA application_id")
        if application == 0:  # else another process made it since
            if connection.execute("SELECT name FROM sqlite_master").fetchall():
                raise sqlite3.DatabaseError(_FOREIGN)
            connection.execute(
                "CREATE TABLE translations "
                "(key BLOB PRIMARY KEY, translation BLOB NOT NULL, cut INTEGER NOT NULL) WITHOUT ROWID"
            )
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    @contextmanager
    def _saying_what_is_wrong(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._unusable(str(error)) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            problem = f"is no whole translation cache ({error})"
            raise DataError(
                str(self.file), problem, "Move it away, with the -wal and -shm files beside it, or name another folder"
            ) from error

    def _unusable(self, reason: str) -> SentembError:
        place = str(self.file)
        if "full" in reason:
            return OutputError(place, "no space is left on the device", "Free some space and run it again")
        if "locked" in reason:
            problem = f"another process has held it for {self.wait_seconds:g} seconds"
            return OutputError(place, problem, "Stop that process, or name another folder")
        return OutputError(place, f"can't be used ({reason})", "Name a folder on this machine that may be written to")


def default_folder() -> Path:
    """`translations` in the folder that SENTEMB_CACHE names, else in ~/.cache/sentemb."""
    named = os.environ.get("SENTEMB_CACHE", "")
    return (Path(named) if named else Path.home() / ".cache" / "sentemb") / "translations"


def cache_key(text: str, identity: str, direction: str, seed: int | None) -> bytes:
    """20 bytes of BLAKE2b over all that decides a translation, each part with its length before it.

    Args:
        text: what is translated.
        identity: the translator, its model and its settings.
        direction: which way, for translators whose identity doesn't say.
        seed: of a translator that samples; else None.

    >>> cache_key("ab", "c", "", None) == cache_key("a", "bc", "", None)
    False
    """
    digest = blake2b(digest_size=20)
    for part in (text, identity, direction, "" if seed is None else str(seed)):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()
