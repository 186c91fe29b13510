"""No network, seeds explicit, one thread: what every test runs under."""

from __future__ import annotations

import os
import socket
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest


class SocketClosed(RuntimeError):
    pass


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to connect anywhere but to this machine fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family == socket.AF_UNIX or (
            isinstance(address, tuple) and address[0] in ("127.0.0.1", "::1", "localhost")
        ):
            return connect(self, address)  # type: ignore[arg-type]
        raise SocketClosed(f"a test tried to reach {address}")

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The data folder that SENTEMB_DATA names; tests that use it are marked `data`."""
    folder = os.environ.get("SENTEMB_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SENTEMB_DATA names no folder with the STS, SICK and NLI files")
    return Path(folder)
