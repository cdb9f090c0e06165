"""Ray without processes: workers do to each cell what its fingerprint says, one message a turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from skybench.core import Record


class WorkerLost(Exception):
    """As Ray's own errors of actors that died."""


class FakeRay:
    """A cluster of some nodes; a fate is "fine", "fails", "refused", "hangs" or "dies".

    One that ends in "once" happens at the first try only. A worker dies before it tells anything
    where `broken`.
    """

    exceptions = SimpleNamespace(RayError=WorkerLost)

    def __init__(self, *nodes: dict[str, float], broken: bool = False) -> None:
        self.alive: list[dict[str, Any]] = [{"Alive": True, "Resources": n} for n in nodes]
        self.broken = broken
        self.actors: list[FakeActor] = []
        self.ran: list[str] = []
        self.turn = 0

    def remote(self, kind: Any) -> Any:
        return _Options(self)

    def nodes(self) -> list[dict[str, Any]]:
        return self.alive

    def cluster_resources(self) -> dict[str, float]:
        names = {n for node in self.alive for n in node["Resources"]}
        return {n: sum(node["Resources"].get(n, 0) for node in self.alive) for n in names}

    def wait(self, streams: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self.turn += 1
        chosen = streams[self.turn % len(streams)]
        return ([] if chosen.hangs else [chosen]), []

    def get(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        return message

    def kill(self, actor: Any) -> None:
        actor.dead = True

    @property
    def living(self) -> list[FakeActor]:
        return [actor for actor in self.actors if not actor.dead]


class _Options:
    def __init__(self, ray: FakeRay) -> None:
        self.ray = ray
        self.given: dict[str, Any] = {}

    def options(self, **given: Any) -> _Options:
        self.given = given
        return self

    def remote(self, marker: str) -> FakeActor:
        self.ray.actors.append(FakeActor(self.ray, self.given))
        return self.ray.actors[-1]


class FakeActor:
    """A worker that runs bundles."""

    def __init__(self, ray: FakeRay, options: dict[str, Any]) -> None:
        self.ray, self.options, self.dead = ray, options, False
        self.run = self  # the method, with its own `remote`
        self.models: list[str] = []

    def remote(self, text: str, fail_fast: bool) -> Stream:
        bundle = json.loads(text)
        self.models += bundle["request"]["models"]
        return Stream(self, bundle["fingerprints"])


class Stream:
    """The messages of a worker about a bundle."""

    def __init__(self, actor: FakeActor, cells: list[str]) -> None:
        self.actor, self.at = actor, ""
        self.messages = self._messages(cells)

    @property
    def hangs(self) -> bool:
        return self.at.startswith("hangs") and not self.actor.dead

    def __next__(self) -> Any:
        if self.actor.dead:
            return WorkerLost("killed\nmore lines")
        return next(self.messages)

    def _messages(self, cells: list[str]) -> Iterator[Any]:
        ray = self.actor.ray
        for name in cells:
            if ray.broken:
                yield WorkerLost("No module named skybench")
            yield "report", (name, "start", 0, 1)
            fate = name.partition("-")[0]
            if fate.endswith("once") and name in ray.ran:
                fate = "fine"
            ray.ran.append(name)
            self.at = fate
            if fate.startswith("dies"):
                yield WorkerLost("The actor died.\nmore lines")
            if fate == "refused":
                yield "refused", ("not as planned",)
                return
            status: Any = "failed" if fate == "fails" else "measured"
            record = Record("m", "t", "d", {"protocol": "knn"}, status, "demo", name)
            yield "record", (name, record, None)
