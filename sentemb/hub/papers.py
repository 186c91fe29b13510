"""From a method's kind in a recipe to what a model card says of it: one sentence and the paper."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """What to cite."""

    short: str
    bibtex: str


class MethodText(NamedTuple):
    """A method in a sentence, and its paper."""

    title: str
    summary: str
    paper: Paper


SIMCSE = Paper(
    "Gao et al. 2021",
    """@inproceedings{gao-etal-2021-simcse,
  title = {{S}im{CSE}: Simple Contrastive Learning of Sentence Embeddings},
  author = {Gao, Tianyu and Yao, Xingcheng and Chen, Danqi},
  booktitle = {Proceedings of the 2021 Conference on Empirical Methods in Natural Language Processing},
  year = {2021},
  pages = {6894--6910},
  doi = {10.18653/v1/2021.emnlp-main.552},
  url = {https://aclanthology.org/2021.emnlp-main.552}
}""",
)

SBERT = Paper(
    "Reimers & Gurevych 2019",
    """@inproceedings{reimers-gurevych-2019-sentence,
  title = {Sentence-{BERT}: Sentence Embeddings using {S}iamese {BERT}-Networks},
  author = {Reimers, Nils and Gurevych, Iryna},
  booktitle = {Proceedings of the 2019 Conference on Empirical Methods in Natural Language Processing and the 9th
    International Joint Conference on Natural Language Processing (EMNLP-IJCNLP)},
  year = {2019},
  pages = {3982--3992},
  doi = {10.18653/v1/D19-1410},
  url = {https://aclanthology.org/D19-1410}
}""",
)

METHODS = {
    "simcse": MethodText(
        "Unsupervised SimCSE",
        "Two passes of the same sentence under different dropout are a positive pair; the other sentences of the batch "
        "are the negatives.",
        SIMCSE,
    ),
    "simcse_supervised": MethodText(
        "Supervised SimCSE",
        "A sentence and one that it entails are a positive pair; contradictions, where the data has them, are hard "
        "negatives beside the other sentences of the batch.",
        SIMCSE,
    ),
    "sbert_softmax": MethodText(
        "SBERT, classification objective",
        "A softmax classifier over the two embeddings of a labelled pair is trained with the encoder and then dropped.",
        SBERT,
    ),
    "sbert_regression": MethodText(
        "SBERT, regression objective",
        "The cosine of the two embeddings of a pair is fitted to the gold score by its mean squared error.",
        SBERT,
    ),
    "sbert_triplet": MethodText(
        "SBERT, triplet objective",
        "An anchor is brought nearer to its positive than to its negative, by a margin of Euclidean distance.",
        SBERT,
    ),
}
"""By `method.kind`. A kind that is not here gets a card without a citation, and the card says so."""
