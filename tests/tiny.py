"""A real encoder small enough to make in memory in milliseconds: 2 BERT layers, 32 wide, a WordPiece tokenizer."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

from sentemb.encoder import build_encoder
from sentemb.types import Pooler

WORDS = (
    "a the man woman child dog cat bird is are was plays playing runs running eats eating sings guitar piano flute "
    "ball park street house small big red green old young happy sad outside inside with and not no two three people "
    "read reading book letter writes slowly quickly food bread water drinks sleeping sleeps chair table on in under"
).split()


def save_tiny(folder: Path, *, seed: int = 0, n_layers: int = 2, pooler: bool = False) -> Path:
    """Writes the tiny encoder, with its masked-LM head (or its tanh pooler), as a Hugging Face folder."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [prefix + chr(c) for c in range(33, 127) for prefix in ("", "##") if not chr(c).isupper()]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*specials, *letters, *WORDS]))}
    backend = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    BertTokenizer(tokenizer_object=backend, do_lower_case=True, model_max_length=64).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=n_layers,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.1,
            pad_token_id=0,
        )
        model = BertForMaskedLM(config)
        if pooler:
            from transformers import BertModel

            model = BertModel(config)
    model.save_pretrained(folder)
    return folder


def tiny_encoder(seed: int = 0, pooling: Pooler = "mean", *, n_layers: int = 2) -> SentenceTransformer:
    """The tiny encoder as a `SentenceTransformer`, on the CPU, in training mode off."""
    with tempfile.TemporaryDirectory() as folder:
        save_tiny(Path(folder), seed=seed, n_layers=n_layers)
        return build_encoder(folder, pooling).eval()


SENTENCES = [
    "A man is playing a guitar.",
    "A woman plays the piano outside.",
    "The dog runs in the park.",
    "Two people are eating bread inside.",
    "A small cat sleeps on the chair.",
    "The child reads a red book slowly.",
    "An old man writes a letter.",
    "Three birds are not on the green table.",
]
