"""Bundles of made-up cells, and a worker that does to each what its fingerprint says."""

from __future__ import annotations

import importlib
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Record
from skybench.executors import child
from skybench.executors.bundles import Bundle, Events
from skybench.plan.request import Request

# The protocol of `worker.serve` without planning, torch, or anything else that takes time. A cell's
# fingerprint is its fate and a number: "die9-0" exits with code 9. A fate with "once" happens only
# where no file of the name lies in the folder, in which it leaves one.
WORKER = """
import json, os, pathlib, signal, subprocess, sys, time
from skybench.core.record import Record

FOLDER = pathlib.Path({folder!r})

def serve(pipe):
    os.setpgid(0, 0)
    note("started", f"{{os.getpid()}} {{os.environ['CUDA_VISIBLE_DEVICES']}}"
         if "CUDA_VISIBLE_DEVICES" in os.environ else str(os.getpid()))
    pipe.send(("ready", ()))
    while True:
        try:
            text, fail_fast = pipe.recv()
        except EOFError:
            return
        for name in json.loads(text)["fingerprints"]:
            pipe.send(("report", (name, "start", 0, 1)))
            note("ran", name)
            record = meet(name)
            if record == "refused":
                pipe.send(("refused", ("not as planned",)))
                break
            pipe.send(("record", (name, record)))
            if record.status == "failed" and fail_fast:
                break
        pipe.send(("idle", ()))

def meet(name):
    fate, made = name.partition("-")[0], FOLDER / name
    if fate.endswith("once"):
        if made.exists():
            fate = "fine"
        made.touch()
    if fate.startswith("litter"):
        from skybench.core.atomic import temporary_beside
        file = FOLDER / "results" / "litter"
        file.rename(temporary_beside(file))
        os.kill(os.getpid(), signal.SIGKILL)
    elif fate.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    elif fate.startswith("exit"):
        os._exit(9)
    elif fate.startswith("hang"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        loader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        note("loaders", str(loader.pid))
        time.sleep(600)
    elif fate == "slow":
        time.sleep(600)
    elif fate == "refused":
        return fate
    failed = fate.startswith(("memory", "fails"))
    trace = "Traceback\\nMemoryError" if fate.startswith("memory") else ""
    return Record("m", "t", "d", {{"protocol": "knn"}}, "failed" if failed else "measured", "demo",
                  name, traceback=trace)

def note(kind, text):
    with (FOLDER / kind).open("a") as file:
        file.write(text + "\\n")
"""


class Heard:
    """What an executor tells."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.lost: dict[str, str] = {}
        self.stages: list[str] = []

    @property
    def events(self) -> Events:
        return Events(self._report, self._finished, self._lost)

    def _report(self, name: str, stage: str, done: int, total: int) -> None:
        self.stages.append(f"{name} {stage}")

    def _finished(self, name: str, record: Record) -> None:
        assert name not in {*self.records, *self.lost}, "a cell is told once"
        self.records[name] = record.status

    def _lost(self, name: str, what: str) -> None:
        assert name not in {*self.records, *self.lost}, "a cell is told once"
        self.lost[name] = what


def install_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children run the worker above, which keeps its notes in a folder."""
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "fated_worker.py").write_text(textwrap.dedent(WORKER.format(folder=str(folder))))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "fated_worker", raising=False)
    monkeypatch.setattr(child, "serve", importlib.import_module("fated_worker").serve)


def notes(folder: Path, kind: str) -> list[str]:
    path = folder / kind
    return path.read_text().split("\n")[:-1] if path.exists() else []


def bundle(model: str, *fates: str, seconds: float | None = None, **fields: Any) -> Bundle:
    request = Request(models=[model], tasks=["t"], datasets=["d"], results=Path("/nowhere"))
    return Bundle(request, tuple(fates), seconds, **fields)


def running(pids: Sequence[str], patience: float = 10.0) -> list[str]:
    """Those of some processes that have not ended after a while; a zombie has."""
    limit = time.monotonic() + patience
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < limit:
        time.sleep(0.01)  # a signal takes its time
    return left


def _runs(pid: str) -> bool:
    try:
        status = (Path("/proc") / pid / "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
