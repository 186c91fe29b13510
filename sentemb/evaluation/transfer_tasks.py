"""The tasks of SentEval on which a classifier is trained on frozen embeddings: one record each.

Conneau & Kiela 2018, "SentEval: An Evaluation Toolkit for Universal Sentence Representations" (arXiv 1803.05449).
Papers average the first seven: MR, CR, SUBJ, MPQA, SST2, TREC, MRPC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "dev", "test"]

Design = Literal["nested", "cross-validated", "held-out"]
"""Where the penalty is chosen and what is scored; `sentemb.evaluation.transfer_protocol` says how."""

Target = Literal["class", "score"]

_FREE = "free for research, no explicit licence"


@dataclass(frozen=True, slots=True)
class TransferTask:
    """Texts, or pairs of texts, with a class each (SICK-R: with a score).

    Attributes:
        name: what a user types, `mr`.
        title: what a table shows, `MR`.
        design: how its rows are used.
        files: split → the file in the data folder; `nested` has `train` only, all rows of which are also scored.
        label: the column of the class, or of the score.
        labels: every class there is, as it is written in the file; empty for scores from 1 to 5.
        is_pair: columns sentence1 and sentence2 instead of text.
        counts: split → rows of SentEval's own file.
        licence: of the texts.
        origin: who made it, and how our file differs.
    """

    name: str
    title: str
    design: Design
    files: dict[Split, str]
    counts: dict[Split, int]
    origin: str
    label: str = "label"
    labels: tuple[str, ...] = ("0", "1")
    is_pair: bool = False
    licence: str = _FREE

    @property
    def target(self) -> Target:
        """Whether classes are told apart or a score is predicted."""
        return "class" if self.labels else "score"

    @property
    def test_split(self) -> Split:
        """The split whose rows are scored."""
        return "test" if "test" in self.files else "train"


def _nested(name: str, count: int, origin: str) -> TransferTask:
    file = f"senteval/{name}.tsv"
    return TransferTask(name, name.upper(), "nested", {"train": file}, {"train": count}, origin)


def _sst2(name: str, title: str, train: str, count: int, origin: str) -> TransferTask:
    files: dict[Split, str] = {
        "train": f"senteval/{train}.tsv",
        "dev": "senteval/sst2-dev.tsv",
        "test": "senteval/sst2-test.tsv",
    }
    counts: dict[Split, int] = {"train": count, "dev": 872, "test": 1821}
    return TransferTask(
        name, title, "held-out", files, counts, f"Stanford Sentiment Treebank (Socher et al. 2013), {origin}"
    )


def _sick(name: str, title: str, label: str, labels: tuple[str, ...], origin: str) -> TransferTask:
    files: dict[Split, str] = {split: f"sts/sickr-{split}.tsv" for split in ("train", "dev", "test")}
    counts: dict[Split, int] = {"train": 4500, "dev": 500, "test": 4927}
    return TransferTask(
        name, title, "held-out", files, counts, origin, label, labels, is_pair=True, licence="CC BY-NC-SA 3.0"
    )


TRANSFER_TASKS: dict[str, TransferTask] = {
    task.name: task
    for task in (
        _nested("mr", 10662, "movie reviews, snippets (Pang & Lee 2005)"),
        _nested("cr", 3775, "customer reviews (Hu & Liu 2004)"),
        _nested("subj", 10000, "subjectivity (Pang & Lee 2004), 1: objective"),
        _nested("mpqa", 10606, "opinion polarity of phrases (Wiebe et al. 2005)"),
        _sst2("sst2", "SST2", "sst2-train", 67349, "trained on all phrases of the training trees"),
        TransferTask(
            "trec",
            "TREC",
            "cross-validated",
            {"train": "senteval/trec-train.tsv", "test": "senteval/trec-test.tsv"},
            {"train": 5452, "test": 500},
            "question types, six coarse classes (Li & Roth 2002)",
            labels=("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"),
        ),
        TransferTask(
            "mrpc",
            "MRPC",
            "cross-validated",
            {"train": "senteval/mrpc-train.tsv", "test": "senteval/mrpc-test.tsv"},
            {"train": 4076, "test": 1725},
            "Microsoft Research paraphrase corpus (Dolan et al. 2004), 1: paraphrase",
            is_pair=True,
            licence="Microsoft Research shared source licence",
        ),
        _sst2(
            "sst2-sentences",
            "SST2 sent.",
            "sst2-train-sentences",
            6920,
            "trained on whole sentences only: no task of SentEval, and in no average",
        ),
        _sick(
            "sicke",
            "SICK-E",
            "entailment",
            ("contradiction", "neutral", "entailment"),
            "SICK entailment (Marelli et al. 2014)",
        ),
        _sick("sickr-regression", "SICK-R regr.", "score", (), "SICK relatedness (Marelli et al. 2014), by regression"),
    )
}

SEVEN = ("mr", "cr", "subj", "mpqa", "sst2", "trec", "mrpc")
"""What papers average, in the order of their tables."""
