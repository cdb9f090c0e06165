"""Every test has its own folders, and no network but the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from skybench.analysis.intervals import uncertainty
from skybench.core import Record, fingerprint, registry
from skybench.metrics.accuracy import Accuracy
from skybench.records import predictions, store

# On a busy machine an example may take any time: none asserts that it is quick.
hypothesis.settings.register_profile("any-time", deadline=None)
hypothesis.settings.load_profile("any-time")

if sys.argv[0] == "-c":  # a process of pytest-xdist, which stands for a command here
    sys.argv[0] = pytest.__file__

ROOT = Path(__file__).resolve().parent.parent
Made = Callable[..., Record]
Serve = Callable[[Callable[..., Any]], str]


@pytest.fixture(scope="session")
def _shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a worker; its demo data are those of all workers, of which the first writes each set."""
    base = tmp_path_factory.getbasetemp()
    cache = base / "skybench"
    if os.environ.get("PYTEST_XDIST_WORKER"):
        (base.parent / "demo").mkdir(exist_ok=True)
        cache.mkdir()
        (cache / "demo").symlink_to(base.parent / "demo")
    return cache


@pytest.fixture(autouse=True)
def _own_folders(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, _shared_cache: Path
) -> None:
    """Demo data and features are shared within a worker: they are addressed by content."""
    monkeypatch.setenv("SKYBENCH_CACHE", str(_shared_cache))
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
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache for this test alone."""
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "cache"))


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a web server on the loopback that answers by a handler; its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with contextlib.ExitStack() as stack:

        def start(handler: Callable[..., Any]) -> str:
            server = stack.enter_context(_Server(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def asked() -> list[str]:
    """The paths that were asked for of `site`."""
    return []


@pytest.fixture
def site(serve: Serve, asked: list[str], tmp_path: Path) -> str:
    """The address of a web server that has the files of tmp_path/site."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    (tmp_path / "site").mkdir()
    return serve(partial(Handler, directory=tmp_path / "site"))


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Sets the models that there are, by their plugins, and a folder of weights of their own."""
    monkeypatch.setenv("SKYBENCH_WEIGHTS", str(tmp_path / "weights"))

    def setter(*plugins: Any) -> None:
        known = {p.__name__: p for p in plugins}
        monkeypatch.setattr(registry, "own", lambda _: sorted(known))
        monkeypatch.setattr(registry, "load", lambda _, name: known[name])

    return setter


@pytest.fixture
def shared() -> Path:
    """The folder with real data and weights; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SKYBENCH_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip("needs the real data of ../shared or SKYBENCH_SHARED")
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Writes a record below tmp_path of a model that is right or wrong on each image, by seed."""

    def make(model: str, right: Any, keep: bool = True, **changes: Any) -> Record:
        rights = np.atleast_2d(np.asarray(right, bool))
        recipe = {"protocol": "linear", "label": "20 %", "seeds": len(rights), "fraction": 1.0,
                  "limit": 0, **changes.pop("recipe", {})}  # fmt: skip
        used = {"sensors": ["hr"], "weights": "ab" * 32, "variant": "full",
                "classes": ["a", "b"], "chance": 20.0, **changes.pop("used", {})}  # fmt: skip
        metrics = [Accuracy(("a", "b")) for _ in rights]
        for metric, row in zip(metrics, rights, strict=True):
            for one in row:
                metric.update(int(not one), 0)
        every = [m.scores() for m in metrics]
        keys = tuple(f"image{i}" for i in range(rights.shape[1]))
        groups = changes.pop("groups", keys)
        bands = uncertainty(metrics, groups).intervals
        record = Record(
            model, "scene_classification", "aid", recipe, "measured", "real", "",
            {n: float(np.mean([s[n] for s in every])) for n in every[0]},
            intervals={n: [b.low, b.high] for n, b in bands.items()},
            samples={"train": 10, "test": rights.shape[1]}, used=used,
            seeds=[{"seed": i} for i in range(len(rights))], made="2026-01-01T00:00:00+00:00",
        )  # fmt: skip
        record = replace(record, **changes)
        parts = [record.model, record.task, record.dataset, dict(recipe), used, record.data]
        record = replace(record, fingerprint=fingerprint.fingerprint({"cell": parts}))
        path = store.write_record(record, tmp_path)
        if keep:
            path = path.with_suffix(".npz")
            predictions.save_predictions(path, keys, metrics, groups=groups)
        return record

    return make


class Ended:
    """Exit code and output of a command run in this process."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def skybench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Any:
    monkeypatch.setenv("SKYBENCH_RESULTS", str(tmp_path / "runs"))

    def call(*words: str) -> Ended:
        capsys.readouterr()
        from skybench.cli import app

        monkeypatch.setattr(sys, "argv", ["skybench", *words])
        with pytest.raises(SystemExit) as end:
            app.main()
        out, err = capsys.readouterr()
        return Ended(int(end.value.code or 0), out, err)

    return call


@pytest.fixture
def bucket() -> Iterator[MemoryFileSystem]:
    """The files at memory:// addresses, none at first."""
    fs = MemoryFileSystem()
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
