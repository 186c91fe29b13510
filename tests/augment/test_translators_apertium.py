from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import stat
import sys
from pathlib import Path

import pytest

from sentemb.augment.back_translation import BackTranslation
from sentemb.augment.translation_cache import TranslationCache
from sentemb.augment.translators_apertium import ApertiumTranslator
from sentemb.errors import ConfigError, ModelError
from tests.augment.toy import NASTY

installed = pytest.mark.skipif(
    not Path("/usr/share/apertium/modes/eng-spa.mode").exists(),
    reason="Apertium is absent: apt-get install apertium-eng-spa",
)

PROGRAM = """#!{python} -S
import os, sys
assert sys.argv[1] == "-z", sys.argv
if "log" in sys.argv[2]:
    with open(sys.argv[2], "a") as log:
        log.write(" ".join(sys.argv[3:]) + "\\n")
text = b""
while piece := os.read(0, 65536):  # dies before it answers what came along with the text at fault
    text += piece
    if b"hang" in text:
        import time
        time.sleep(60)
    if b"die once" in text and not os.path.exists(sys.argv[2] + ".died"):
        open(sys.argv[2] + ".died", "w").close()
        sys.exit(1)
    if b"die always" in text:
        sys.exit(1)
    whole, _, text = text.rpartition(b"\\0")
    if whole:
        answer = memoryview((whole.swapcase() if "swap" in sys.argv else whole) + b"\\0")
        while answer:
            answer = answer[os.write(1, answer) :]
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A pair of two programs, the first of which swaps the case; the folder with its mode and the log of its starts."""
    program = tmp_path / "bin" / "fake-proc"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    (tmp_path / "modes").mkdir()
    (tmp_path / "data.bin").write_bytes(b"rules")
    mode = f"fake-proc '{tmp_path}/log' $1 swap $2 '{tmp_path}/data.bin' | fake-proc none\n"
    (tmp_path / "modes" / "aaa-bbb.mode").write_text(mode)
    return tmp_path


def starts(folder: Path) -> int:
    return len((folder / "log").read_text().splitlines())


def test_texts_go_through_one_pipe_and_come_back_in_order(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    assert made(["One", "", "two\nTHREE\0four", " \n"]) == ["oNE", "", "TWO three FOUR", ""]
    assert made(["again"]) == ["AGAIN"] and made([]) == [] and starts(fake) == 1
    assert (fake / "log").read_text() == f"-n swap {fake}/data.bin\n"  # unknown words unmarked
    made.close()
    assert made(["again"]) == ["AGAIN"] and starts(fake) == 2
    made.close()


def test_more_than_the_pipes_hold_does_not_block(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    texts = ["x" * 100_000, *["y" * 50] * 3000]
    assert made(texts) == [text.upper() for text in texts]
    made.close()


def test_what_apertium_reserves_is_escaped_on_its_way(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    text = r"^ $ [ ] { } \ / @ < > [] \n \\"
    assert made([text]) == [text.swapcase()]
    made.close()


def test_a_pipe_that_dies_is_started_again_where_it_was(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    assert made(["a", "b", "die once", "c"]) == ["A", "B", "DIE ONCE", "C"]
    assert starts(fake) == 2
    made.close()


def test_a_pipe_that_dies_while_it_is_written_to(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    assert made(["die once", "x" * 500_000]) == ["DIE ONCE", "X" * 500_000]
    made.close()


def test_a_text_that_kills_it_again_and_again_is_named(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    with pytest.raises(ModelError) as caught:
        made(["a", "die always", "b"])
    assert str(caught.value) == (
        'apertium aaa-bbb: its programs died 3 times in a row, at the text "die always". Leave the text out, or see '
        "what this says: echo hello | apertium aaa-bbb."
    )
    assert made(["a"]) == ["A"]
    made.close()


def test_a_pipe_that_hangs_is_taken_for_dead(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake, wait_seconds=0.3)
    with pytest.raises(ModelError, match='at the text "hang"'):
        made(["hang"])


def test_no_process_outlives_the_translator(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    made(["a"])
    programs = made._pipe.stop.peek()[2][0]
    assert len(programs) == 2 and all(program.poll() is None for program in programs)
    del made
    assert all(program.returncode is not None for program in programs)


def test_a_forked_worker_and_a_pickled_copy_have_pipes_of_their_own(fake):
    made = ApertiumTranslator("aaa-bbb", data_dir=fake)
    assert made(["a"]) == ["A"]
    receiver, sender = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context("fork").Process(target=lambda: sender.send(made(["b"])))
    worker.start()
    assert receiver.recv() == ["B"]
    worker.join()
    assert starts(fake) == 2 and made(["c"]) == ["C"] and starts(fake) == 2
    copy = pickle.loads(pickle.dumps(made))
    assert copy(["d"]) == ["D"] and copy.identity == made.identity and starts(fake) == 3
    copy.close()
    made.close()


def test_the_identity_is_that_of_pair_and_data(fake):
    first = ApertiumTranslator("aaa-bbb", data_dir=fake).identity
    assert first.startswith("apertium aaa-bbb ") and first == ApertiumTranslator("aaa-bbb", data_dir=fake).identity
    (fake / "data.bin").write_bytes(b"other rules")
    assert ApertiumTranslator("aaa-bbb", data_dir=fake).identity != first


def test_a_pair_that_is_not_installed(fake, monkeypatch):
    monkeypatch.setenv("APERTIUM_DATADIR", str(fake))
    with pytest.raises(ConfigError) as caught:
        ApertiumTranslator("spa-eng")
    assert str(caught.value) == (
        f"apertium spa-eng: is not installed: there is no {fake}/modes/spa-eng.mode (pairs there: aaa-bbb). "
        "Install it: apt-get install apertium-eng-spa (Debian, Ubuntu)."
    )


def test_a_program_that_is_not_installed(fake, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="aaa-bbb.mode runs fake-proc, which is not installed. Install it: apt-get"):
        ApertiumTranslator("aaa-bbb", data_dir=fake)


# ------------------------------------------------------------------------------------------------ the real one
@pytest.fixture(scope="module")
def spanish():
    made = ApertiumTranslator("eng-spa")
    yield made
    made.close()


@installed
def test_plain_sentences(spanish):
    assert spanish(["A man is playing a guitar.", "", "The house is red", "xyzzy"]) == [
        "Un hombre está tocando una guitarra.", "", "La casa es roja", "xyzzy",
    ]  # fmt: skip


@installed
def test_any_text_is_taken_and_none_disturbs_the_others(spanish):
    texts = [text[:20_000] for text in NASTY] + ["^x$ [y] {z} \\ / @ <b> * # ~ | + _ =", "[[t:b:12]] a", "The red dog."]
    singles = [spanish([text])[0] for text in texts]
    order = random.Random(0).sample(range(len(texts)), len(texts))
    assert spanish([texts[i] for i in order]) == [singles[i] for i in order]
    assert singles[-1] == "El perro rojo." and singles[-2] == "[[t:b:12]] un"


@installed
def test_as_a_view(spanish, tmp_path):
    english = ApertiumTranslator("spa-eng")
    made = BackTranslation(spanish, english, cache=TranslationCache(tmp_path), min_length_ratio=0.5, texts_per_call=2)
    texts = ["The experience solidified Bacon's passion for the arts.", "", "A man is playing a guitar."]
    first = made(texts, [0, 0, 0])
    assert first[0] != texts[0] and "passion" in first[0] and first[1] == ""
    assert made(texts[::-1], [1, 2, 3]) == first[::-1]
    english.close()
