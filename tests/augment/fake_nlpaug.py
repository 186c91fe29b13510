"""As much of nlpaug 1.1.11 as the guards touch, with its faults: for tests that run where nlpaug is not installed."""

from __future__ import annotations

import math
import random
import sys
from types import ModuleType

import numpy as np
import torch


class Augmenter:
    def __init__(self, tokenizer=None, reverse_tokenizer=None, aug_p=0.3, aug_max=10):
        self.tokenizer = tokenizer or (lambda text: text.replace("'", " ' ").split())
        self.reverse_tokenizer = reverse_tokenizer or " ".join
        self.aug_p, self.aug_max = aug_p, aug_max

    def augment(self, data, n=1, num_thread=1):
        assert isinstance(data, list), "lists only"
        assert num_thread == 1
        return [] if not data or not any(data) else [self.one(text.strip()) for text in data]

    def generate_aug_cnt(self, size):
        return math.ceil((self.aug_p or 0.3) * size)


class RandomWordAug(Augmenter):
    """Draws from all three global generators."""

    def __init__(self, action="delete", aug_p=0.3, aug_max=10, tokenizer=None, reverse_tokenizer=None):
        super().__init__(tokenizer, reverse_tokenizer, aug_p, aug_max)
        self.action = action

    def _get_aug_range_idxes(self, tokens):
        raise ValueError("sample larger than population")

    def one(self, text):
        words = self.tokenizer(text)
        if self.action == "crop":
            gone = self._get_aug_range_idxes(words)
            return self.reverse_tokenizer([word for i, word in enumerate(words) if i not in gone])
        draws = (random.random(), np.random.random(), torch.rand(()).item())  # noqa: NPY002
        return self.reverse_tokenizer([*words, *(f"{draw:.4f}" for draw in draws)])


class KeyboardAug(Augmenter):
    """Leaves nothing; or many; or no text."""

    def __init__(self, leaves="nothing", aug_char_p=0.3, tokenizer=None, reverse_tokenizer=None):
        super().__init__(tokenizer, reverse_tokenizer)
        self.leaves = leaves

    def augment(self, data):
        return {"nothing": [""], "two": ["a", "b"], "none": [], "nested": [["a"]]}[self.leaves]


class SynonymAug(Augmenter):
    def __init__(self, aug_src="wordnet", model_path=None, tokenizer=None, reverse_tokenizer=None, force_reload=False):
        super().__init__(tokenizer, reverse_tokenizer)
        self.model = self.get_model(aug_src, "eng", model_path, force_reload)

    @classmethod
    def get_model(cls, aug_src, lang, dict_path, force_reload):
        raise RuntimeError("downloads")

    def one(self, text):
        words = [word for word, _ in self.model.pos_tag(self.tokenizer(text))]
        return self.reverse_tokenizer([(self.model.predict(word) or [word])[0] for word in words])


class SpellingAug(Augmenter):
    def __init__(self, dict_path=None, include_reverse=True, tokenizer=None, reverse_tokenizer=None):
        super().__init__(tokenizer, reverse_tokenizer)
        self.dict_path, self.include_reverse = dict_path, include_reverse
        self.model = self.get_model(force_reload=False)

    def get_model(self, force_reload):
        raise RuntimeError("the first dictionary of the process")

    def one(self, text):
        return self.reverse_tokenizer([self.model.dict.get(word, [word])[0] for word in self.tokenizer(text)])


class Spelling:
    def __init__(self, dict_path, include_reverse):
        self.dict = {"dog": ["dxg", "dgo"]}


class Bert:
    """The mended methods are called as in nlpaug: while it is made."""

    def __init__(self, model_path, device, top_k, silence, batch_size):
        self.tokenizer = Tokenizer()
        self.path, self.mask_id = model_path, self.token2id("[MASK]")
        self.model = torch.nn.Linear(1, 1).half()

    def token2id(self, token):
        return self.tokenizer._convert_token_to_id(token)

    def id2token(self, token):
        return self.tokenizer._convert_id_to_token(token)


class Tokenizer:
    def convert_tokens_to_ids(self, token):
        return {"[MASK]": 4}[token]

    def convert_ids_to_tokens(self, token):
        return {4: "[MASK]"}[token]


class ContextualWordEmbsAug(Augmenter):
    def __init__(self, model_path="bert-base-uncased", model_type="", aug_p=0.3, use_custom_api=True):
        super().__init__()
        assert type(self).__name__ == "ContextualWordEmbsAug"  # nlpaug looks at the name
        self.model_type = model_type
        self.model = self.get_model(
            model_path=model_path, model_type=model_type, device="cpu", force_reload=False, batch_size=32, top_k=100,
            silence=True, use_custom_api=use_custom_api,
        )  # fmt: skip

    @classmethod
    def get_model(cls, **_):
        raise RuntimeError("downloads, or gives another model of that name")

    def one(self, text):
        return f"{text} {self.model.id2token(self.model.mask_id)}"


class SplitAug(RandomWordAug):
    def __init__(self, min_char=4, tokenizer=None, reverse_tokenizer=None):
        super().__init__()


class ReservedAug(RandomWordAug):
    def __init__(self, reserved_tokens, generate_all_combinations=False, tokenizer=None, reverse_tokenizer=None):
        super().__init__()


class TfIdfAug(RandomWordAug):
    def __init__(self, model_path=".", tokenizer=None, reverse_tokenizer=None):
        super().__init__()


class RandomSentAug(Augmenter):
    def __init__(self, mode="neighbor", tokenizer=None):
        super().__init__(tokenizer)
        assert tokenizer is not None, "downloads a sentence splitter"

    def swap(self, text):
        first, second, *rest = self.tokenizer(text)
        return " ".join([second, first, *rest])

    def one(self, text):
        return self.swap(text)


class Flow(Augmenter, list):
    def __init__(self, flow=None):
        Augmenter.__init__(self)
        list.__init__(self, flow)

    def augment(self, data):
        raise AssertionError("its results are one text of many")


class Sequential(Flow):
    def draw(self):
        return True


class Sometimes(Flow):
    def __init__(self, flow=None, aug_p=0.8):
        super().__init__(flow)
        self.aug_p = aug_p

    def draw(self):
        return self.aug_p > np.random.random()  # noqa: NPY002


def install(monkeypatch, version: str = "1.1.11") -> None:
    """Puts the fake where `import nlpaug` finds it, until the end of the test."""
    held = {
        "nlpaug": {"__version__": version},
        "nlpaug.augmenter.char": {"KeyboardAug": KeyboardAug},
        "nlpaug.augmenter.word": {
            cls.__name__: cls
            for cls in (ContextualWordEmbsAug, RandomWordAug, ReservedAug, SpellingAug, SplitAug, SynonymAug, TfIdfAug)
        },
        "nlpaug.augmenter.sentence": {"RandomSentAug": RandomSentAug},
        "nlpaug.flow": {"Sequential": Sequential, "Sometimes": Sometimes},
        "nlpaug.model.lang_models": {"Bert": Bert, "Roberta": Bert},
        "nlpaug.model.word_dict": {"Spelling": Spelling},
    }
    for name, content in held.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
