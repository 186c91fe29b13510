from __future__ import annotations

import json

import pytest
import torch

from sentemb.errors import ModelError
from sentemb.postprocess import flow_files
from sentemb.postprocess.flow_files import load_flow, save_flow
from tests.postprocess.flows import fresh_flow, trained_flow


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("permutation", ["reverse", "random", "invertible_1x1"])
@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_what_is_saved_is_what_is_opened(tmp_path, dtype, permutation, coupling):
    flow = trained_flow(dtype=dtype, permutation=permutation, coupling=coupling, residual=True, seed=5)
    save_flow(flow, tmp_path / "flow")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["config.json", "flow", "model.safetensors"]
    opened = load_flow(tmp_path / "flow")
    x = torch.linspace(-1, 1, 24, dtype=dtype).view(3, 8)
    assert all(torch.equal(value, opened.state_dict()[name]) for name, value in flow.state_dict().items())
    assert torch.equal(opened(x)[0], flow(x)[0]) and torch.equal(opened(x)[1], flow(x)[1])
    assert opened.config() == flow.config() and not opened.training


def test_an_opened_flow_remembers_whether_it_was_initialised(tmp_path):
    x = torch.linspace(-1, 1, 24).view(3, 8).cos()
    flow = fresh_flow(dtype=torch.float32)
    save_flow(flow, tmp_path / "flow")
    load_flow(tmp_path / "flow").initialise(x)
    flow.initialise(x)
    save_flow(flow, tmp_path / "flow")
    with pytest.raises(ValueError, match="initialised already"):
        load_flow(tmp_path / "flow").initialise(x)


def test_the_old_flow_stays_when_saving_fails(tmp_path, monkeypatch):
    save_flow(trained_flow(), tmp_path / "flow")
    before = (tmp_path / "flow" / "model.safetensors").read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(flow_files, "save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        save_flow(trained_flow(seed=1), tmp_path / "flow")
    assert (tmp_path / "flow" / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["flow"]


def change_config(folder, **keys):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "there is no config.json, so this is no saved flow"),
        (lambda folder: (folder / "model.safetensors").unlink(), "there is no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "the flow can't be opened"),
        (lambda folder: (folder / "config.json").write_text("{"), "the flow can't be opened"),
        (lambda folder: (folder / "config.json").write_text("[]"), "the flow can't be opened"),
        (lambda folder: change_config(folder, width=16), "the flow can't be opened .*Error.* in loading state_dict"),
        (lambda folder: change_config(folder, width=12), "width 12 can be halved"),
        (lambda folder: change_config(folder, n_levels="two"), "the flow can't be opened"),
        (lambda folder: change_config(folder, depht=2), "the flow can't be opened .*depht"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, damage, message):
    folder = tmp_path / "flow"
    save_flow(trained_flow(n_levels=3), folder)
    damage(folder)
    with pytest.raises(ModelError, match=message):
        load_flow(folder)
