"""Every test has its own folders, and no network but the loopback."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Demo data and features are shared within a worker: they are addressed by content."""
    shared = tmp_path_factory.getbasetemp() / "skybench"
    monkeypatch.setenv("SKYBENCH_CACHE", str(shared))
    empty = tmp_path_factory.getbasetemp() / "empty"
    for name in ("DATA", "RESULTS", "WEIGHTS"):
        monkeypatch.setenv(f"SKYBENCH_{name}", str(empty / name.lower()))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if host and host not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests have no network, but {address} was asked for")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def shared() -> Path:
    """The folder with real data and weights; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SKYBENCH_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the real data of ../shared or SKYBENCH_SHARED")
    return folder
