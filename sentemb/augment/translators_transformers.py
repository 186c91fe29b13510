"""Translation by a sequence-to-sequence model of transformers: Marian, NLLB, M2M-100, mBART, T5."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, LogitsProcessorList

from sentemb.augment.translators import CutTranslation, one_line
from sentemb.errors import ConfigError, ModelError, shortened
from sentemb.functional.batches import batches_by_length

_UNLIMITED = 100_000  # tokenizers without a limit say 10³⁰


@dataclass(frozen=True, slots=True)
class BeamSearch:
    """The likeliest translation that `n_beams` ≥ 1 beams find; 1 is greedy."""

    n_beams: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """A draw from the model's distribution, token by token, its logits divided by `temperature` > 0.

    Edunov et al. 2018, "Understanding Back-Translation at Scale", have it beside beam search: it gives more
    varied, less faithful texts.
    """

    temperature: float


class TransformersTranslator:
    """One direction of a translation model, its weights in safetensors, run in batches of like length.

    With `Sampling` a draw is argmax_v logits_v / T + g_v (the Gumbel-max trick), the noise g of step t coming from the
    text's seed and t alone: so neither the batch nor torch's generator has a part in it.

    A text longer than the model takes is cut, and a translation that fills `max_new_tokens` lacks its end; both come
    back as `CutTranslation`.

    Args:
        model: hub name or folder. Its own code, if it has any, is never run.
        decoding: how the translation is found. Length penalty, banned words and the like are the model's own.
        max_new_tokens: ≥ 1, of a translation, its end token included.
        max_tokens_per_batch: padded source tokens of one batch at most; a longer text is a batch of its own.
        device: where it runs, such as `cpu`.
        source_language: as the tokenizer names it (NLLB `eng_Latn`, M2M `en`); None for models of one pair.
        target_language: the same of the language it translates to, made the first token.

    Attributes:
        identity: model, a digest of its weights, languages and decoding.
        takes_seeds: whether the translator samples.

    Raises:
        ConfigError: an argument out of its range, or a language that the tokenizer doesn't know.
        ModelError: the model can't be opened, or is no sequence-to-sequence model with safetensors weights.
    """

    def __init__(
        self,
        model: str,
        *,
        decoding: BeamSearch | Sampling,
        max_new_tokens: int,
        max_tokens_per_batch: int,
        device: str,
        source_language: str | None,
        target_language: str | None,
    ) -> None:
        _check_ranges(decoding, max_new_tokens, max_tokens_per_batch)
        self.decoding, self.max_tokens_per_batch = decoding, max_tokens_per_batch
        self.takes_seeds = isinstance(decoding, Sampling)
        self.model, self.tokenizer = _open(model)
        self.model.eval().requires_grad_(False)
        self.generation = copy.deepcopy(self.model.generation_config)
        self.generation.max_length = None
        self.generation.max_new_tokens = self.max_new_tokens = min(max_new_tokens, _positions(self.model) - 1)
        self.generation.do_sample = False
        self.generation.num_beams = decoding.n_beams if isinstance(decoding, BeamSearch) else 1
        if self.generation.num_beams == 1:
            self.generation.early_stopping = False  # else transformers warns that it has no part here
        if source_language is not None:
            self._language_id(model, source_language)
            self.tokenizer.src_lang = source_language
        if target_language is not None:
            self.generation.forced_bos_token_id = self._language_id(model, target_language)
        self.max_source_tokens = min(self.tokenizer.model_max_length, _positions(self.model))
        settings = [asdict(decoding), self.max_new_tokens, source_language, target_language]
        self.identity = f"transformers {model} {_digest(self.model)} {settings}"
        self.model.to(device)

    def __call__(self, texts: list[str], *, seeds: Sequence[int] | None = None) -> list[str]:
        """N translations; blank for a blank text.

        Args:
            texts: N strings, any Unicode.
            seeds: N whole numbers from 0 below 2⁶³ if the translator samples, else None.
        """
        if self.takes_seeds != (seeds is not None):
            raise ValueError(f"seeds are {'needed to sample' if self.takes_seeds else 'of no use to beam search'}")
        lines = [one_line(text) for text in texts]
        rows = [row for row, line in enumerate(lines) if line]
        translations = [""] * len(texts)
        if not rows:
            return translations
        ids, cut = self._tokenise([lines[row] for row in rows])
        for places in batches_by_length([len(each) for each in ids], self.max_tokens_per_batch):
            row_seeds = [] if seeds is None else [seeds[rows[place]] for place in places]
            for place, tokens in zip(places, self._generate([ids[p] for p in places], row_seeds), strict=True):
                whole = len(tokens) < self.max_new_tokens and not cut[place]
                text = self.tokenizer.decode(tokens, skip_special_tokens=True)
                translations[rows[place]] = text if whole else CutTranslation(text)
        return translations

    def _tokenise(self, lines: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Token ids of each line, and whether it had to be cut."""
        limit = self.max_source_tokens if self.max_source_tokens < _UNLIMITED else None
        kept = self.tokenizer(lines, truncation=limit is not None, max_length=limit)["input_ids"]
        if limit is None:
            return kept, [False] * len(kept)
        # one token more is let through, so that a line of just the limit isn't taken for a cut one
        longer = self.tokenizer(lines, truncation=True, max_length=limit + 1)["input_ids"]
        return kept, [len(each) > limit for each in longer]

    @torch.inference_mode()
    def _generate(self, ids: Sequence[list[int]], seeds: Sequence[int]) -> Iterator[list[int]]:
        """Of each row the tokens after the start token, up to and with the end token."""
        width, device = max(len(each) for each in ids), self.model.device
        pad = self.tokenizer.pad_token_id
        padded = torch.tensor([each + [pad] * (width - len(each)) for each in ids], device=device)
        mask = torch.tensor([[1] * len(each) + [0] * (width - len(each)) for each in ids], device=device)
        noise = LogitsProcessorList()
        if isinstance(self.decoding, Sampling):
            noise.append(_GumbelNoise(seeds, self.decoding.temperature))
        found = self.model.generate(
            input_ids=padded, attention_mask=mask, generation_config=self.generation, logits_processor=noise
        )
        ends = self.generation.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        for row in found[:, 1:].tolist():
            end = next((place for place, token in enumerate(row) if token in ends), len(row) - 1)
            yield row[: end + 1]

    def _language_id(self, model: str, language: str) -> int:
        """The token that stands for a language.

        Raises:
            ConfigError: the tokenizer has none for it.
        """
        ids: dict[str, int] = getattr(self.tokenizer, "lang_code_to_id", None) or {}
        if language in ids:
            return ids[language]
        token = self.tokenizer.convert_tokens_to_ids(language)
        if token is None or token == self.tokenizer.unk_token_id:
            raise ConfigError(
                "back_translation: language",
                f"{shortened(language)} is no language of {model}",
                "Give a code of its tokenizer, such as eng_Latn (NLLB), or none for a model of one pair",
            )
        return int(token)


class _GumbelNoise:
    """Adds to the logits of row i, divided by T, standard Gumbel noise of (seed i, step)."""

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self.seeds, self.temperature = seeds, temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(n, V) noisy logits, from the (n, t) tokens so far and the (n, V) logits."""
        step, width = input_ids.shape[1], scores.shape[1]
        exponential = np.stack(
            [
                np.random.Generator(np.random.Philox(key=seed, counter=step << 64)).standard_exponential(width)
                for seed in self.seeds
            ]
        )
        gumbel = torch.from_numpy(-np.log(exponential)).to(scores.device)
        return (scores.double() / self.temperature + gumbel).to(scores.dtype)


def _check_ranges(decoding: BeamSearch | Sampling, max_new_tokens: int, max_tokens_per_batch: int) -> None:
    whole = "a whole number from 1"
    if isinstance(decoding, BeamSearch) and decoding.n_beams < 1:
        raise _out_of_range("n_beams", decoding.n_beams, whole)
    if isinstance(decoding, Sampling) and not decoding.temperature > 0:
        raise _out_of_range("temperature", decoding.temperature, "a number above 0")
    if max_new_tokens < 1:
        raise _out_of_range("max_new_tokens", max_new_tokens, whole)
    if max_tokens_per_batch < 1:
        raise _out_of_range("max_tokens_per_batch", max_tokens_per_batch, whole)


def _open(name: str) -> tuple[Any, Any]:
    remedy = "Name a folder or a hub model for translation that has safetensors weights, such as an opus-mt one"
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model, info = AutoModelForSeq2SeqLM.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, ImportError) as error:  # ImportError: Marian's tokenizer needs sentencepiece
        cause = shortened(str(error).strip().split("\n")[0])
        raise ModelError(name, f"can't be opened as a translation model ({cause})", remedy) from error
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelError(name, f"the checkpoint lacks weights ({missing})", remedy)
    if tokenizer.pad_token_id is None:
        raise ModelError(name, "its tokenizer has no padding token", remedy)
    return model, tokenizer


def _positions(model: Any) -> int:
    """Tokens that the position embeddings are enough for; models without such a table take any number."""
    return int(getattr(model.config, "max_position_embeddings", None) or _UNLIMITED + 1)


def _digest(model: Any) -> str:
    """Of all weights, by name."""
    digest = blake2b(digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _out_of_range(name: str, value: object, accepted: str) -> ConfigError:
    return ConfigError(f"back_translation.{name}", f"{shortened(value)} is not {accepted}", "Correct it")
