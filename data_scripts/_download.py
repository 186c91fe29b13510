"""Downloads that can be resumed and are checked: what every fetch script shares. Standard library only.

A file is fetched to `NAME.part` and renamed when it is whole and its checksum fits, so a file under its own name is
always good. A broken connection is resumed where it broke (HTTP Range), in this run or the next. Where no checksum is
known, the one seen at the first download is kept in `checksums.json` in the raw folder, and later downloads are
compared with it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20
TIMEOUT = 60
USER_AGENT = "sentemb-data-scripts"
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class FetchError(Exception):
    """What the user can mend: shown as one line, exit code 2."""


@dataclass(frozen=True)
class Remote:
    """A file on a server: where, its name below the raw folder and, where known, its size and checksum."""

    url: str
    name: str
    size: int | None = None
    checksum: str | None = None  # "sha256:…" or "sha1:…"


def digest(file: Path, algorithm: str = "sha256") -> str:
    """`sha256:…` of a file."""
    with file.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


class Checksums:
    """What was seen at the first download of each file, kept in `checksums.json`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seen: dict[str, dict[str, str | int]] = {}
        if file.is_file():
            try:
                self.seen = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise FetchError(f"{file}: not JSON ({error}). Remove it to start a new one.") from error

    def expected(self, remote: Remote) -> str | None:
        """The known checksum, else the one of the first download, else None."""
        entry = self.seen.get(remote.name, {})
        return remote.checksum or (str(entry["checksum"]) if entry.get("url") == remote.url else None)

    def record(self, remote: Remote, file: Path) -> None:
        entry = {"url": remote.url, "size": file.stat().st_size, "checksum": digest(file)}
        if self.seen.get(remote.name) != entry:
            self.seen[remote.name] = entry
            temporary = self.file.with_name(f".{self.file.name}.tmp")
            temporary.write_text(json.dumps(self.seen, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            temporary.replace(self.file)


def download(remote: Remote, raw: Path, *, attempts: int = 5, wait: float = 2.0) -> Path:
    """The file below `raw`: the one that is there if its checksum fits, else a fresh or resumed download.

    Raises:
        FetchError: the server says no, does not answer `attempts` times, or what it sends has another size or checksum.

    """
    file = raw / remote.name
    file.parent.mkdir(parents=True, exist_ok=True)
    checksums = Checksums(raw / "checksums.json")
    expected = checksums.expected(remote)
    if file.is_file():
        if expected is None or digest(file, expected.split(":")[0]) == expected:
            checksums.record(remote, file)
            return file
        print(f"{file} has another checksum than expected: fetching it again", file=sys.stderr)
    part = file.with_name(f"{file.name}.part")
    for attempt in range(1, attempts + 1):
        try:
            _fetch(remote, part)
            break
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING or attempt == attempts:
                raise FetchError(_refused(remote, error.code)) from error
            reason = f"HTTP {error.code}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
            if attempt == attempts:
                raise FetchError(
                    f"{remote.url}: no whole answer after {attempts} attempts ({reason}). "
                    "Look at the network and run it again; it goes on where it stopped."
                ) from error
        print(f"{remote.name}: {reason}; attempt {attempt + 1} of {attempts}", file=sys.stderr)
        time.sleep(wait * 2 ** (attempt - 1))
    _check(remote, part, expected, checksums.file)
    part.replace(file)
    _etag_file(part).unlink(missing_ok=True)
    checksums.record(remote, file)
    return file


def _refused(remote: Remote, code: int) -> str:
    hint = {401: "needs a login", 403: "may not be read", 404: "is not there (any more)", 410: "is gone"}
    return (
        f"{remote.url}: {hint.get(code, 'was refused')} (HTTP {code}). "
        f"Fetch the file by other means, put it at {remote.name} in the raw folder, and run it again."
    )


def _etag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _fetch(remote: Remote, part: Path) -> None:
    """One request: the rest of `part`, or all of it when the server has another version or knows no ranges."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(remote.url, headers={"User-Agent": USER_AGENT})
    etag = _etag_file(part)
    if have:
        request.add_header("Range", f"bytes={have}-")
        if etag.is_file():
            request.add_header("If-Range", etag.read_text(encoding="utf-8"))
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return  # the part was whole
        part.unlink()
        raise ConnectionError("the part that was there did not fit and is removed") from error
    with answer:
        if answer.status != 206:
            have = 0
        _write_etag(etag, answer.headers.get("ETag"))
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as stream:
            for chunk in _chunks(answer, remote.name, have, total):
                stream.write(chunk)
    size = part.stat().st_size
    if total is not None and size != total:
        raise ConnectionError(f"the connection ended at {size:,} of {total:,} bytes")


def _write_etag(file: Path, etag: str | None) -> None:
    """Keeps a strong ETag: `If-Range` allows no weak one."""
    if etag and not etag.startswith("W/"):
        file.write_text(etag, encoding="utf-8")
    else:
        file.unlink(missing_ok=True)


def _chunks(answer: http.client.HTTPResponse, name: str, have: int, total: int | None) -> Iterator[bytes]:
    """The body in pieces, with a progress line on stderr (one that is overwritten on a terminal)."""
    shown, terminal = time.monotonic(), sys.stderr.isatty()
    while chunk := answer.read1(CHUNK):
        have += len(chunk)
        yield chunk
        if time.monotonic() - shown > (0.2 if terminal else 10):
            shown = time.monotonic()
            of = f" of {total / 1e6:,.1f} MB ({have / total:.0%})" if total else " MB"
            print(f"{name}: {have / 1e6:,.1f}{of}", file=sys.stderr, end="\r" if terminal else "\n", flush=True)
    if terminal:
        print("\x1b[K", file=sys.stderr, end="")


def _check(remote: Remote, part: Path, expected: str | None, checksums: Path) -> None:
    """Removes a download of the wrong size or checksum, and says so."""
    size = part.stat().st_size
    if remote.size is not None and size != remote.size:
        _remove(part)
        raise FetchError(
            f"{remote.url}: {size:,} bytes, not {remote.size:,}. Run it again; if it stays so, the file changed."
        )
    if expected is None:
        return
    found = digest(part, expected.split(":")[0])
    if found != expected:
        _remove(part)
        mend = (
            "The file on the server changed: don't use it unseen."
            if remote.checksum
            else f"The file changed since the first download; remove its entry from {checksums} to take the new one."
        )
        raise FetchError(f"{remote.url}: checksum {found}, not {expected}. {mend}")


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _etag_file(part).unlink(missing_ok=True)
