from __future__ import annotations

import hashlib
import json

import pytest
from _download import FetchError, Remote, digest, download

BODY = bytes(range(256)) * 4000


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def remote(site):
    site.files["file.bin"] = BODY
    return Remote(f"{site.url}/file.bin", "deep/file.bin", len(BODY), sha256(BODY))


def test_a_file_arrives_whole_and_is_not_fetched_twice(site, remote, tmp_path):
    file = download(remote, tmp_path)
    assert file == tmp_path / "deep" / "file.bin"
    assert file.read_bytes() == BODY
    assert download(remote, tmp_path) == file
    assert len(site.requests) == 1
    assert sorted(path.name for path in file.parent.iterdir()) == ["file.bin"]


def test_a_broken_connection_is_resumed_where_it_broke(site, remote, tmp_path, capsys):
    site.break_after = [300_000, 200_000]
    assert download(remote, tmp_path, wait=0).read_bytes() == BODY
    assert [wanted for _, wanted, _ in site.requests] == [None, "bytes=300000-", "bytes=500000-"]
    assert [etag for _, _, etag in site.requests] == [None, '"one"', '"one"']
    assert "the connection ended at 300,000 of 1,024,000 bytes; attempt 2 of 5" in capsys.readouterr().err


def test_a_later_run_resumes_what_an_earlier_one_left(site, remote, tmp_path):
    site.break_after = [300_000]
    with pytest.raises(
        FetchError, match=r"no whole answer after 1 attempts \(the connection ended at 300,000 .* it goes on"
    ):
        download(remote, tmp_path, attempts=1)
    assert not (tmp_path / "deep" / "file.bin").exists()
    assert download(remote, tmp_path).read_bytes() == BODY
    assert site.requests[-1][1] == "bytes=300000-"


def test_a_file_that_changed_in_between_is_begun_again(site, tmp_path):
    site.files["file.bin"], site.break_after = b"old " * 1000, [1000]
    remote = Remote(f"{site.url}/file.bin", "file.bin")
    with pytest.raises(FetchError):
        download(remote, tmp_path, attempts=1)
    site.files["file.bin"], site.etag = BODY, '"two"'
    assert download(remote, tmp_path).read_bytes() == BODY


def test_a_server_without_ranges_sends_all_again(site, remote, tmp_path):
    site.ranges, site.break_after = False, [300_000]
    assert download(remote, tmp_path, wait=0).read_bytes() == BODY


@pytest.mark.parametrize("etag", ['"one"', "", 'W/"weak"'])
def test_a_whole_part_is_taken_as_it_is(site, remote, tmp_path, etag):
    site.etag = etag
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin.part").write_bytes(BODY)
    assert download(remote, tmp_path).read_bytes() == BODY
    assert site.requests == [("/file.bin", f"bytes={len(BODY)}-", None)]


def test_a_part_that_is_too_long_is_thrown_away(site, remote, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin.part").write_bytes(BODY + b"more")
    assert download(remote, tmp_path, wait=0).read_bytes() == BODY


def test_a_busy_server_is_asked_again(site, remote, tmp_path):
    site.statuses = [503, 429]
    assert download(remote, tmp_path, wait=0).read_bytes() == BODY


@pytest.mark.parametrize(("code", "words"), [(404, "is not there"), (403, "may not be read"), (410, "is gone")])
def test_a_refusal_is_told_once_with_what_to_do(site, remote, tmp_path, code, words):
    site.statuses = [code]
    with pytest.raises(
        FetchError, match=rf"file\.bin: {words}.*\(HTTP {code}\).*put it at deep/file\.bin in the raw folder"
    ):
        download(remote, tmp_path, wait=0)
    assert len(site.requests) == 1


def test_a_server_that_stays_busy_is_given_up(site, remote, tmp_path):
    site.statuses = [503] * 3
    with pytest.raises(FetchError, match=r"was refused \(HTTP 503\)"):
        download(remote, tmp_path, attempts=3, wait=0)


def test_no_server_at_all(tmp_path):
    with pytest.raises(FetchError, match="no whole answer after 2 attempts .*Look at the network"):
        download(Remote("http://127.0.0.1:9/file.bin", "file.bin"), tmp_path, attempts=2, wait=0)


def test_a_wrong_checksum_leaves_nothing(site, tmp_path):
    site.files["file.bin"] = BODY
    remote = Remote(f"{site.url}/file.bin", "file.bin", checksum=sha256(b"other"))
    with pytest.raises(FetchError, match=r"checksum sha256:\w+, not sha256:\w+\. The file on the server changed"):
        download(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_size_leaves_nothing(site, tmp_path):
    site.files["file.bin"] = BODY
    with pytest.raises(FetchError, match=r"1,024,000 bytes, not 7\."):
        download(Remote(f"{site.url}/file.bin", "file.bin", 7), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_algorithms_are_checked_too(site, tmp_path):
    site.files["file.bin"] = BODY
    good = f"sha1:{hashlib.sha1(BODY).hexdigest()}"
    file = download(Remote(f"{site.url}/file.bin", "file.bin", checksum=good), tmp_path)
    assert digest(file, "sha1") == good
    with pytest.raises(FetchError, match="checksum sha1:"):
        download(Remote(f"{site.url}/file.bin", "other.bin", checksum="sha1:00"), tmp_path)


def test_the_first_checksum_is_kept_and_compared(site, tmp_path):
    site.files["file.bin"] = BODY
    remote = Remote(f"{site.url}/file.bin", "file.bin")
    file = download(remote, tmp_path)
    kept = json.loads((tmp_path / "checksums.json").read_text(encoding="utf-8"))
    assert kept == {"file.bin": {"url": remote.url, "size": len(BODY), "checksum": sha256(BODY)}}
    file.unlink()
    site.files["file.bin"] = b"something else"
    with pytest.raises(FetchError, match=r"changed since the first download; remove its entry from .*checksums\.json"):
        download(remote, tmp_path)
    assert not file.exists()


def test_a_damaged_file_is_fetched_again(site, remote, tmp_path, capsys):
    file = download(remote, tmp_path)
    file.write_bytes(b"damaged")
    assert download(remote, tmp_path).read_bytes() == BODY
    assert "another checksum than expected" in capsys.readouterr().err


def test_a_file_put_there_by_hand_is_used(site, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"by hand")
    assert download(Remote(f"{site.url}/file.bin", "file.bin"), tmp_path).read_bytes() == b"by hand"
    assert site.requests == []


def test_a_broken_list_of_checksums_is_told(site, tmp_path):
    (tmp_path / "checksums.json").write_text("{", encoding="utf-8")
    with pytest.raises(FetchError, match=r"checksums\.json: not JSON .* Remove it"):
        download(Remote(f"{site.url}/file.bin", "file.bin"), tmp_path)
