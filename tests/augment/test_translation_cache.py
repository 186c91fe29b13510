from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
from itertools import product
from pathlib import Path

import pytest

from sentemb.augment.translation_cache import TranslationCache, cache_key, default_folder
from sentemb.augment.translators import CutTranslation
from sentemb.errors import DataError, OutputError
from tests.augment.toy import NASTY

KEYS = [bytes([i]) * 20 for i in range(len(NASTY))]


def test_what_was_put_is_found_again_also_by_another_object(tmp_path):
    cache = TranslationCache(tmp_path / "new" / "folder")
    assert cache.get(KEYS) == {} and not cache.file.parent.exists()  # looking makes nothing
    cache.put(dict(zip(KEYS, NASTY, strict=True)))
    again = pickle.loads(pickle.dumps(cache))
    assert again.get(KEYS) == dict(zip(KEYS, NASTY, strict=True))
    assert again.get([b"other" * 4, KEYS[3]]) == {KEYS[3]: NASTY[3]}


def test_that_a_translation_was_cut_is_kept(tmp_path):
    cache = TranslationCache(tmp_path)
    cache.put({KEYS[0]: CutTranslation("half"), KEYS[1]: "whole"})
    found = cache.get(KEYS)
    assert found == {KEYS[0]: "half", KEYS[1]: "whole"}
    assert [isinstance(found[key], CutTranslation) for key in KEYS[:2]] == [True, False]


def test_what_is_there_stays(tmp_path):
    cache = TranslationCache(tmp_path)
    cache.put({KEYS[0]: "first"})
    cache.put({KEYS[0]: "second", KEYS[1]: "new"})
    assert cache.get(KEYS) == {KEYS[0]: "first", KEYS[1]: "new"}


def test_more_keys_than_one_query_takes(tmp_path):
    cache = TranslationCache(tmp_path)
    keys = [i.to_bytes(20, "big") for i in range(1201)]
    cache.put({key: str(i) for i, key in enumerate(keys)})
    assert cache.get(keys) == {key: str(i) for i, key in enumerate(keys)}


def test_a_transaction_is_whole_or_absent(tmp_path):
    cache = TranslationCache(tmp_path)
    cache.put({KEYS[0]: "a"})
    with pytest.raises(AttributeError):
        cache.put({KEYS[1]: "b", KEYS[2]: None})
    with sqlite3.connect(cache.file) as connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON translations WHEN new.cut BEGIN SELECT 1/0, abs(); END;")
    connection.close()
    with pytest.raises(OutputError):
        cache.put({KEYS[1]: "b", KEYS[2]: CutTranslation("c")})
    assert cache.get(KEYS) == {KEYS[0]: "a"}


def test_keys_differ_with_every_part():
    parts = product(["a", "ab", ""], ["", "b", "ab"], ["", "forward"], [None, 0, 1, 10])
    keys = [cache_key(*each) for each in parts]
    assert len(set(keys)) == len(keys) == 72 and {len(key) for key in keys} == {20}
    odd = ["\ud800", "\ud801", "\ufffd", "?"]
    assert len({cache_key(text, "m", "f", 1) for text in odd}) == 4


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SENTEMB_CACHE", str(tmp_path))
    assert default_folder() == tmp_path / "translations"
    monkeypatch.delenv("SENTEMB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "sentemb" / "translations"


# ------------------------------------------------------------------------------------------------ what goes wrong
def put_then(tmp_path, damage) -> TranslationCache:
    cache = TranslationCache(tmp_path)
    cache.put({i.to_bytes(20, "big"): "x" * 300 for i in range(100)})
    damage(cache.file)
    return cache


DAMAGES = {
    "no database": lambda file: file.write_bytes(b"these are notes of mine, and no database" * 100),
    "pages overwritten": lambda file: file.write_bytes(file.read_bytes()[:4096] + b"\xff" * 20_000),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:5000]),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_file_is_said_to_be_one(tmp_path, damage):
    cache = put_then(tmp_path, DAMAGES[damage])
    before = cache.file.read_bytes()
    for call in (lambda: cache.get([(7).to_bytes(20, "big")]), lambda: cache.put({KEYS[0]: "a"})):
        with pytest.raises(DataError) as caught:
            call()
        assert str(caught.value).startswith(f"{cache.file}: is no whole translation cache (")
        assert "Move it away, with the -wal and -shm files beside it, or name another folder." in str(caught.value)
    assert cache.file.read_bytes() == before


@pytest.mark.parametrize("statement", ["CREATE TABLE mine (x)", "PRAGMA application_id = 5"])
def test_a_database_of_something_else_is_left_alone(tmp_path, statement):
    cache = TranslationCache(tmp_path)
    connection = sqlite3.connect(cache.file)
    connection.execute(statement)
    connection.close()
    with pytest.raises(DataError, match="holds another kind of database"):
        cache.put({KEYS[0]: "a"})


def test_a_file_that_another_process_holds(tmp_path):
    cache = TranslationCache(tmp_path, wait_seconds=0.05)
    cache.put({KEYS[0]: "a"})
    connection = sqlite3.connect(cache.file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    assert cache.get(KEYS) == {KEYS[0]: "a"}  # a writer is in no reader's way
    with pytest.raises(OutputError, match=r"another process has held it for 0.05 seconds. Stop that process, or name"):
        cache.put({KEYS[1]: "b"})
    connection.execute("ROLLBACK")
    connection.close()
    cache.put({KEYS[1]: "b"})
    assert cache.get(KEYS) == {KEYS[0]: "a", KEYS[1]: "b"}


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "translations.sqlite").mkdir()
    with pytest.raises(OutputError, match=r"can't be used \(unable to open database file\). Name a folder on this"):
        TranslationCache(tmp_path).put({KEYS[0]: "a"})


# ------------------------------------------------------------------------------------------------ several processes
def _write_many(folder: Path, name: str, count: int) -> None:
    cache = TranslationCache(folder)
    for i in range(count):
        cache.put({cache_key(str(i), "", "", None): "both", cache_key(f"{name}{i}", "", "", None): name})


def test_processes_that_begin_and_write_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_many, args=(tmp_path, name, 20)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    expected = {cache_key(str(i), "", "", None): "both" for i in range(20)}
    expected |= {cache_key(f"{name}{i}", "", "", None): name for name in "abc" for i in range(20)}
    assert TranslationCache(tmp_path).get(list(expected)) == expected


RUN = """
import os, sys, time
from pathlib import Path
from sentemb.augment.back_translation import BackTranslation
from sentemb.augment.translation_cache import TranslationCache

folder, log, stop_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
done = 0
def translate(texts):
    global done
    for text in texts:
        if done == stop_at:
            print("stopped", flush=True)
            time.sleep(60)
        done += 1
        with open(log, "a") as stream:
            stream.write(text + "\\n")
    return [text[::-1] for text in texts]
translate.identity = "reversed"
def stop(texts):
    return [text + "." for text in texts]
stop.identity = "a full stop"
view = BackTranslation(translate, stop, cache=TranslationCache(folder), min_length_ratio=0, texts_per_call=4)
texts = [f"text {i:02}" for i in range(20)]
assert view(texts, [0] * 20) == [text[::-1] + "." for text in texts]
"""


def test_a_killed_run_resumes_without_translating_again(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", textwrap.dedent(RUN), str(tmp_path), str(log)]
    first = subprocess.Popen([*command, "14"], stdout=subprocess.PIPE)
    assert first.stdout is not None and first.stdout.readline() == b"stopped\n"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    first.stdout.close()
    done = log.read_text().splitlines()
    assert len(done) == 14  # three calls of 4 that are kept, and half a call
    log.unlink()
    subprocess.run([*command, "-1"], check=True)
    assert log.read_text().splitlines() == [f"text {i:02}" for i in range(12, 20)]
    log.unlink()
    subprocess.run([*command, "0"], check=True)  # it would stop at the first translation
    assert not log.exists()
