"""A Marian model of 16 dimensions with random weights, and a tokenizer of words, made in memory."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

WORDS = "a the man dog cat runs sleeps red big small and".split()
POSITIONS = 32


def save_marian(folder: Path, *, end_bias: float = 1.0, safe: bool = True) -> Path:
    """Writes the model; the greater `end_bias`, the shorter its translations."""
    vocabulary = {piece: i for i, piece in enumerate(["</s>", "<unk>", "<pad>", "xx_XX", "yy_YY", *WORDS])}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=["xx_XX", "yy_YY"],
        model_max_length=512,
    ).save_pretrained(folder)
    config = MarianConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=POSITIONS,
        eos_token_id=0, pad_token_id=2, decoder_start_token_id=2, forced_eos_token_id=0, init_std=0.7,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = MarianMTModel(config)
    model.final_logits_bias[0, 1:5] = -100.0  # words and the end only
    model.final_logits_bias[0, 0] = end_bias
    if safe:
        model.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder
