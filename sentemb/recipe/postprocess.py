"""What may be set of a post-processor, and all its defaults: whitening, standardising, common components, a flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from sentemb.errors import ConfigError, ConfigErrors, nearest, shortened
from sentemb.recipe import accepted
from sentemb.recipe.config import Config

RECORD = "postprocess.json"
"""Beside the encoder: what was fitted, on what, and what it gave."""

Share = Annotated[float, Field(ge=0, le=1)]
Floor = Annotated[float, Field(ge=0, lt=1)]


class WhiteningConfig(Config):
    """Mean zero and covariance one, in the directions of most variance (Su et al. 2021)."""

    kind: Literal["whitening"]
    n_components: PositiveInt | None = None
    """Dimensions kept; null: 256 of embeddings wider than that (the paper's for BERT-base), else all that vary."""
    eigenvalue_floor: Floor = 0.0
    """Smaller variances, as a fraction of the largest, are raised to it; 0 for none."""
    shrinkage: Share | Literal["ledoit_wolf"] | None = None
    """Of the covariance towards a multiple of the identity; null for none, as in the paper."""
    form: Literal["pca", "zca"] = "pca"
    """pca as in the paper; zca keeps the width and stays nearest to the embeddings."""
    ddof: Literal[0, 1] = 1
    """The covariance is divided by N - ddof; 1 as in the authors' code. Cosines don't depend on it."""


class StandardiseConfig(Config):
    """Mean zero and variance one in each dimension (for encoders: Timkey and van Schijndel 2021)."""

    kind: Literal["standardise"]
    variance_floor: Floor = 0.0
    """Smaller variances, as a fraction of the largest, are raised to it; 0 for none."""
    ddof: Literal[0, 1] = 1
    """Variances are divided by N - ddof. Cosines don't depend on it."""


class CommonComponentsConfig(Config):
    """The mean and the top principal components taken out (Mu and Viswanath 2018)."""

    kind: Literal["common_components"]
    n_removed: NonNegativeInt | None = None
    """Components taken out; null: a hundredth of the width, at least 1 (the paper's rule)."""


class FlowConfig(Config):
    """An invertible map to a standard Gaussian, by maximum likelihood (Li et al. 2020)."""

    kind: Literal["flow"]
    preset: Literal["paper", "released"] = "released"
    """The architecture: of the authors' code (3 levels, channels reversed) or of the paper (2, shuffled, residual)."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Texts of a step; the authors' 32 pairs."""
    epochs: PositiveInt = 20
    """Passes at most; `patience` ends it earlier. The authors make 1."""
    patience: PositiveInt = 3
    """Epochs without a better likelihood of the rows held out of training."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the rows that this likelihood is measured on."""
    learning_rate: PositiveFloat = 1e-3
    """Constant."""
    adam_epsilon: PositiveFloat = 1e-6
    """As in the authors' code."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled; as in the authors' code."""
    max_gradient_norm: PositiveFloat | None = 1.0
    """As in the authors' code; null for none."""
    seed: NonNegativeInt = 0
    """Of the parameters, the rows held out and their order."""


LinearConfig = WhiteningConfig | StandardiseConfig | CommonComponentsConfig
PostprocessConfig = Annotated[LinearConfig | FlowConfig, Field(discriminator="kind")]

KINDS: dict[str, type[LinearConfig] | type[FlowConfig]] = {
    "whitening": WhiteningConfig,
    "standardise": StandardiseConfig,
    "common_components": CommonComponentsConfig,
    "flow": FlowConfig,
}


def read_postprocess(kind: str, settings: Sequence[str] = (), *, dim: int | None = None) -> LinearConfig | FlowConfig:
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
