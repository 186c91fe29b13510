"""The synonym table from WordNet's file format, on files of a few lines; and from the real ones where they are."""

from __future__ import annotations

import doctest
import gzip
from pathlib import Path

import build_synonyms
import pytest

from sentemb import assets
from sentemb.augment import synonyms

DATA = {
    "data.noun": (
        "  1 This software and database is being provided to you, the LICENSEE, by  \n"
        "02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 001 @ 02083346 n 0000 | a member of Canis  \n"
        "10114209 18 n 02 frump 0 dog 0 001 @ 09917593 n 0000 | a dull unattractive unpleasant girl  \n"
        "03001627 06 n 01 chair 0 000 | a seat  \n"
        "13742358 23 n 0b zero 0 0 0 aught 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 J-K 0 000 | eleven, which is 0b  \n"
        "02329401 05 n 02 child 0 kid 2 000 | a young person  \n"
    ),
    "data.verb": "02001858 38 v 03 chase 0 give_chase 0 dog 0 000 02 + 08 00 + 09 00 | go after  \n"
    "00000001 38 v 02 establish 0 found 0 000 00 | set up  \n"
    "00000002 38 v 02 find 0 see 1 000 00 | perceive  \n",
    "data.adj": "00014490 00 s 02 galore(ip) 0 well-off 0 000 | existing in abundance  \n",
    "data.adv": "00000003 02 r 01 well 0 000 | in a good way  \n",
    "noun.exc": "children child\nunknowns unknown\n",
    "verb.exc": "found find\nfound find\n",
    "adj.exc": "",
    "adv.exc": "better well\n",
}
TABLE = """\
aught	n:c|d|e|f|g|h|i|j k|zero
better	r=well
c	n:aught|d|e|f|g|h|i|j k|zero
chair	n:
chase	v:dog|give chase
child	n:kid
children	n=child|kid
d	n:aught|c|e|f|g|h|i|j k|zero
dog	n:canis familiaris|domestic dog|frump	v:chase|give chase
e	n:aught|c|d|f|g|h|i|j k|zero
establish	v:found
f	n:aught|c|d|e|g|h|i|j k|zero
find	v:see
found	v:establish	v=find|see
frump	n:dog
g	n:aught|c|d|e|f|h|i|j k|zero
galore	a:well off
h	n:aught|c|d|e|f|g|i|j k|zero
i	n:aught|c|d|e|f|g|h|j k|zero
j-k	n:aught|c|d|e|f|g|h|i|zero
kid	n:child
see	v:find
unknowns	n=
well	r:
well-off	a:galore
zero	n:aught|c|d|e|f|g|h|i|j k
"""


@pytest.fixture
def wordnet(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    for name, content in DATA.items():
        (folder / name).write_text(content, encoding="ascii")
    return folder


def test_doctests():
    assert doctest.testmod(build_synonyms).failed == 0


def test_the_table_of_a_small_wordnet(wordnet, tmp_path, capsys):
    build_synonyms.build(wordnet, tmp_path / "out")
    packed = (tmp_path / "out" / build_synonyms.NAME).read_bytes()
    assert gzip.decompress(packed).decode() == TABLE
    assert packed[3:8] == bytes(5)  # neither name nor time
    assert "synonyms.txt.gz: 26 words" in capsys.readouterr().out
    look_up = synonyms.SynonymTable(tmp_path / "out" / build_synonyms.NAME)
    assert look_up("dogs") == ("canis familiaris", "chase", "dog", "domestic dog", "frump", "give chase")
    assert look_up("found") == ("establish", "find", "see")
    assert look_up("founded") == ("establish", "found")
    assert look_up("j-k") == ("aught", "c", "d", "e", "f", "g", "h", "i", "zero")


def test_a_missing_file_is_named(wordnet):
    (wordnet / "verb.exc").unlink()
    with pytest.raises(SystemExit, match=r"verb.exc is missing: install Debian's wordnet-base, or name"):
        build_synonyms.table(wordnet)


def test_cleaning_is_written_twice_and_the_same():
    for lemma in ("dog", "Canis_familiaris", "well-off", "'s_Gravenhage", "4-dimensional", "1", "A.D.", "x__y-"):
        assert build_synonyms.cleaned(lemma) == synonyms.cleaned(lemma)


@pytest.mark.slow
def test_the_bundled_table_is_made_from_wordnet():
    folder = Path("/usr/share/wordnet")
    if not (folder / "data.noun").is_file():
        pytest.skip("Debian's wordnet-base is not installed")
    made = "".join(f"{line}\n" for line in build_synonyms.table(folder))
    assert made == gzip.decompress(assets.path("synonyms").read_bytes()).decode()
