"""A flow on disk: `config.json` (width and architecture) and `model.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sentemb.errors import ConfigError, ModelError, shortened
from sentemb.postprocess.flow import Flow, FlowArchitecture
from sentemb.saving import replace_folder, write_json

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def save_flow(flow: Flow, folder: Path) -> None:
    """Writes a flow, initialised or not, in one rename.

    Raises:
        OutputError: the folder can't be written to, or the disk is full.
    """
    with replace_folder(folder) as temporary:
        write_flow(flow, temporary)


def write_flow(flow: Flow, folder: Path) -> None:
    """Writes the two files into a folder that is there."""
    write_json(folder / CONFIG, flow.config())
    save_file({name: value.contiguous() for name, value in flow.state_dict().items()}, folder / WEIGHTS)


def load_flow(folder: Path) -> Flow:
    """Opens what `save_flow` wrote, in evaluation mode and in the precision it was saved in.

    Raises:
        ModelError: a file is missing, damaged, or not that of a flow.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(str(folder), f"there is no {name}, so this is no saved flow", "Name a folder with a flow")
    return read_flow(folder / CONFIG, folder / WEIGHTS)


def read_flow(config_file: Path, weights_file: Path) -> Flow:
    """`load_flow` from two files, wherever they are."""
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        weights = load_file(weights_file)
        flow = _build(config)
        flow.to(weights["levels.0.steps.0.actnorm.bias"].dtype).load_state_dict(weights)
    except (ValueError, TypeError, KeyError, RuntimeError, ConfigError, SafetensorError) as error:
        cause = shortened(str(error).split("\n")[0])
        raise ModelError(str(config_file.parent), f"the flow can't be opened ({cause})", "Save it again") from error
    return flow.eval()


def _build(config: Mapping[str, Any]) -> Flow:
    width = config["width"]
    architecture = FlowArchitecture(**{name: value for name, value in config.items() if name != "width"})
    return Flow(width, architecture, generator=torch.Generator())
