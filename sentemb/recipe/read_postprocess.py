"""From `--kind`, `--dim` and `--set` of `sentemb postprocess` to the settings of a post-processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import yaml
from pydantic import ValidationError

from sentemb.errors import ConfigError, ConfigErrors, nearest, shortened
from sentemb.recipe import accepted
from sentemb.recipe.config import Config
from sentemb.recipe.postprocess import KINDS, PostprocessConfig


def read_postprocess(kind: str, settings: Sequence[str] = (), *, dim: int | None = None) -> PostprocessConfig:
    """The post-processor that a command line describes.

    Args:
        kind: one of `KINDS`.
        settings: `key=value`, the value as YAML has it.
        dim: whitening's `n_components`, or None.

    Raises:
        ConfigError: an unknown kind, with the nearest one, or a `dim` where the kind keeps the width.
        ConfigErrors: all settings that can't be used.

    >>> read_postprocess("whitening", ["shrinkage=0.1"], dim=128)
    WhiteningConfig(kind='whitening', n_components=128, eigenvalue_floor=0.0, shrinkage=0.1, form='pca', ddof=1)
    """
    if kind not in KINDS:
        problem = f"unknown kind {shortened(kind)}.{nearest(kind, KINDS)}"
        raise ConfigError("--kind", problem, f"Use one of: {', '.join(KINDS)}")
    if dim is not None and kind != "whitening":
        raise ConfigError("--dim", f"{kind} keeps the width", "Leave it out, or use --kind whitening")
    model = KINDS[kind]
    values = dict(map(_setting, settings))
    if dim is not None:
        if "n_components" in values:
            raise ConfigError("--dim", "n_components is given with --set too", "Give one of the two")
        values["n_components"] = dim
    wrong = [key for key, value in values.items() if isinstance(value, bool)]  # pydantic would take true for 1
    try:
        config = model.model_validate({"kind": kind} | values)
    except ValidationError as error:
        wrong += [str(detail["loc"][0]) for detail in error.errors(include_url=False)]
    if wrong:
        raise ConfigErrors(_refusals(model, dict.fromkeys(wrong), values, given_dim=dim is not None))
    return config


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key.strip() and equals):
        raise ConfigError("--set", f"{shortened(text)} is not KEY=VALUE", "Write it as --set shrinkage=0.1")
    if key.strip() == "kind":
        raise ConfigError("--set kind", "the kind has an option of its own", "Use --kind")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}", f"{shortened(value)} is no YAML", "Put the value in quotes") from error


def _refusals(
    model: type[Config], keys: dict[str, None], values: dict[str, Any], *, given_dim: bool
) -> Iterator[ConfigError]:
    fields = {name: info for name, info in model.model_fields.items() if name != "kind"}
    for key in keys:
        place = "--dim" if given_dim and key == "n_components" else f"--set {key}"
        if key not in fields:
            yield ConfigError(place, f"unknown key.{nearest(key, fields)}", f"Known: {', '.join(fields)}")
            continue
        info = fields[key]
        annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        hint = nearest(str(values[key]), accepted.choices(annotation))
        yield ConfigError(place, f"{shortened(values[key])} can't be used.{hint}", f"Give {accepted.words(annotation)}")
