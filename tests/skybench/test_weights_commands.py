from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from skybench import places, registry
from skybench.cli import app
from skybench.core import (
    Batch,
    CannotRun,
    DataError,
    Features,
    ModelCard,
    UsageError,
    WeightsError,
    WeightsSource,
)  # fmt: skip
from skybench.model import Model
from skybench.weights import load_model

BASE: ModelCard = registry.load("baselines", "galileo").CARD
asked: list[str] = []


class Net(Model):
    def __init__(self, card: ModelCard, width: int) -> None:
        super().__init__(card)
        self.layer = nn.Linear(10, width)

    def forward(self, batch: Batch) -> Features:
        raise NotImplementedError


def state(width: int, seed: int = 0) -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(seed)
    return {
        "layer.weight": torch.randn(width, 10, generator=made),
        "layer.bias": torch.randn(width, generator=made),
    }


def source(filename: str, **facts: Any) -> WeightsSource:
    given = {"obtain": "Ask http://authors.org.", "licence": "MIT", "variants": ("full",)}
    return WeightsSource(filename, **{**given, **facts})


def plugin(name: str, **kinds: tuple[int, WeightsSource | None]) -> Any:
    """A model with variants of a width and a published file each."""
    cards = {
        v: replace(BASE, name=name, title=name.title(), weights=w, params=11 * width)
        for v, (width, w) in kinds.items()
    }
    made = ModuleType(name)
    made.__dict__.update(
        CARD=next(iter(cards.values())), VARIANTS={**kinds, "tiny": None}, convert=dict,
        build=lambda v: Net(cards[v], kinds[v][0]), card=lambda v: cards.get(v, made.CARD),
        PICK={"full": tuple(kinds)},
    )  # fmt: skip
    return made


Models = Callable[..., None]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Models:
    """Sets the models that there are."""
    monkeypatch.setenv("SKYBENCH_WEIGHTS", str(tmp_path / "weights"))

    def setter(*plugins: Any) -> None:
        known = {p.__name__: p for p in plugins}
        monkeypatch.setattr(registry, "names", lambda _: sorted(known))
        monkeypatch.setattr(registry, "load", lambda _, name: known[name])

    return setter


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        asked.append(self.path)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves tmp_path/site."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "site").mkdir()
    asked.clear()
    server = HTTPServer(("127.0.0.1", 0), partial(_Handler, directory=tmp_path / "site"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Ended:
    """What a command printed, and its exit code; what a user sees as an error is raised."""

    def __init__(self, *words: str | Path) -> None:
        done = CliRunner().invoke(app, ["weights", *map(str, words)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.code, self.out, self.err = done.exit_code, done.stdout, done.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def published(tmp_path: Path, filename: str, content: Any) -> tuple[str, str]:
    """Puts a file on the site; its sha256 and md5."""
    torch.save(content, tmp_path / "site" / filename)
    data = (tmp_path / "site" / filename).read_bytes()
    return hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("known", ["sha256", "first digits", "md5", "nothing"])
def test_a_file_is_downloaded_checked_and_found(
    models: Models, site: str, tmp_path: Path, known: str
) -> None:
    sha256, md5 = published(tmp_path, "alpha.pth", {"state_dict": state(100)})
    hashes = {
        "sha256": {"sha256": sha256}, "first digits": {"sha256": sha256[:8]}, "md5": {"md5": md5},
        "nothing": {},
    }[known]  # fmt: skip
    models(plugin("alpha", full=(100, source("alpha.pth", url=f"{site}/alpha.pth", **hashes))))
    done = Ended("download", "alpha", "--json")
    assert "Alpha: licence of the weights: MIT." in done.err
    (row,) = done.json
    file = places.weights() / "alpha" / "alpha.pth"
    assert (row["file"], row["coverage"], row["state"]) == (str(file), 100.0, "ok")
    assert row["hash"] == ("none published" if known == "nothing" else "as published")
    assert torch.equal(load_model("alpha").state_dict()["layer.bias"], state(100)["layer.bias"])
    Ended("download", "alpha")
    assert asked == ["/alpha.pth"]
    file.write_bytes(b"another")
    if known != "nothing":
        with pytest.raises(WeightsError, match="is not the published file's"):
            load_model("alpha")
        with pytest.raises(DataError, match="is not the published file"):
            Ended("download", "alpha")


def test_non_commercial_is_said_aloud_before_the_download(
    models: Models, site: str, tmp_path: Path
) -> None:
    published(tmp_path, "a.pth", state(100))
    here = source("a.pth", url=f"{site}/a.pth", licence="CC BY-NC 4.0", noncommercial=True)
    models(plugin("alpha", full=(100, here)))
    done = Ended("download", "alpha", "--json")
    first = done.err.splitlines()[0]
    assert first == "Alpha: licence of the weights: CC BY-NC 4.0. NON-COMMERCIAL USE ONLY."
    assert done.json[0]["noncommercial"] is True


def test_all_that_full_means_is_downloaded_or_one_variant(
    models: Models, site: str, tmp_path: Path
) -> None:
    kinds = {}
    for name, width in (("s2", 100), ("s1", 50)):
        published(tmp_path, f"{name}.pth", state(width))
        kinds[name] = width, source(f"{name}.pth", url=f"{site}/{name}.pth", variants=(name,))
    models(plugin("alpha", **kinds))
    assert [r["variant"] for r in Ended("download", "alpha", "--variant", "s1", "--json").json] == [
        "s1"
    ]
    assert asked == ["/s1.pth"]
    rows = Ended("download", "alpha", "--json").json
    assert [(r["variant"], r["coverage"]) for r in rows] == [("s2", 100.0), ("s1", 100.0)]
    with pytest.raises(UsageError, match="for 'tiny' of alpha, but for s2, s1"):
        Ended("download", "alpha", "--variant", "tiny")
    with pytest.raises(UsageError, match="No variant 'huge' of alpha"):
        Ended("download", "alpha", "--variant", "huge")


def test_a_file_of_another_network_is_refused(models: Models, site: str, tmp_path: Path) -> None:
    published(tmp_path, "a.pth", state(30))
    models(plugin("alpha", full=(100, source("a.pth", url=f"{site}/a.pth"))))
    with pytest.raises(WeightsError, match=r"do not fit alpha: they match 0\.0 %"):
        Ended("download", "alpha")


def test_what_cannot_be_downloaded_is_explained(models: Models) -> None:
    by_hand = plugin("alpha", full=(100, source("a.pth", licence="own")))
    withheld = plugin("beta", full=(100, source("b.pth", withheld="never published")))
    nothing = plugin("gamma", full=(100, None))
    none = plugin("delta", full=(100, None))
    none.CARD = replace(none.CARD, unavailable="no code")
    none.card = lambda _: none.CARD
    models(by_hand, withheld, nothing, none)
    with pytest.raises(WeightsError, match=r"Ask http://authors\.org\. Put .*Licence.*own"):
        Ended("download", "alpha")
    with pytest.raises(WeightsError, match="cannot be had: never published"):
        Ended("download", "beta")
    with pytest.raises(WeightsError, match="gamma has no learned weights"):
        Ended("download", "gamma")
    with pytest.raises(CannotRun, match="delta cannot be built: no code"):
        Ended("download", "delta")


def test_a_file_that_a_package_ships_is_not_downloaded() -> None:
    (row,) = Ended("download", "imagenet", "--json").json
    assert "efficientnet_lite0" in row["file"]
    assert (row["state"], row["hash"]) == ("ok", "as published")


def put(name: str, filename: str, content: Any) -> Path:
    path = places.weights() / name / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def test_every_file_that_is_found_is_verified(models: Models) -> None:
    good = put("alpha", "a.pth", {"model": state(100), "args": Path("/x")})
    digest = hashlib.sha256(good.read_bytes()).hexdigest()
    put("beta", "b.pth", state(30))
    cut = put("gamma", "c.pth", state(100))
    cut.write_bytes(cut.read_bytes()[:300])
    put("delta", "d.pth", state(100))
    models(
        plugin("alpha", full=(100, source("a.pth", sha256=digest))),
        plugin("beta", full=(100, source("b.pth"))),
        plugin("gamma", full=(100, source("c.pth"))),
        plugin("delta", full=(100, source("d.pth", md5="0" * 32))),
        plugin("epsilon", full=(100, source("e.pth"))),  # not here
        plugin("zeta", full=(100, None)),
    )
    done = Ended("verify", "--json")
    assert done.code == 1
    rows = {r["name"]: r for r in done.json}
    assert {n: (r["state"], r["hash"], r["coverage"]) for n, r in rows.items()} == {
        "alpha": ("ok", "as published", 100.0),
        "beta": ("bad", "none published", 0.0),
        "gamma": ("bad", "none published", None),
        "delta": ("bad", "differs", None),
    }
    assert "left out: pathlib" in rows["alpha"]["note"]
    assert "do not fit beta" in rows["beta"]["note"]
    assert "cut short" in rows["gamma"]["note"]
    assert "is not the published file's" in rows["delta"]["note"]
    only = Ended("verify", "alpha", "--json")
    assert (only.code, len(only.json)) == (0, 1)


def test_without_files_there_is_nothing_to_verify(models: Models) -> None:
    models(plugin("alpha", full=(100, source("a.pth"))))
    done = Ended("verify", "--json")
    assert (done.code, done.json) == (0, [])
    assert "No checkpoint is here" in done.err


def test_a_hole_in_a_file_without_a_published_hash_is_found(models: Models) -> None:
    path = put("alpha", "a.pth", state(100))
    with zipfile.ZipFile(path) as archive:
        record = next(r for r in archive.infolist() if r.filename.endswith("data/0"))
    data = bytearray(path.read_bytes())
    begin = record.header_offset + 200
    data[begin : begin + 500] = bytes(500)
    path.write_bytes(data)
    models(plugin("alpha", full=(100, source("a.pth"))))
    done = Ended("verify", "--json")
    assert done.code == 1
    assert "another checksum" in done.json[0]["note"]


def file(tmp_path: Path, content: Any, name: str = "mine.pth") -> Path:
    torch.save(content, tmp_path / name)
    return tmp_path / name


def test_a_file_is_recognised_and_put_into_its_place(models: Models, tmp_path: Path) -> None:
    models(
        plugin("alpha", big=(100, source("big.pth", variants=("big", "other")))),
        plugin("beta", full=(50, source("b.pth", licence="own", noncommercial=True))),
    )
    mine = file(tmp_path, {"model": {f"module.{k}": v for k, v in state(50).items()}})
    found = Ended("import", mine, "--json").json
    target = places.weights() / "beta" / "b.pth"
    assert found == {
        "name": "beta", "variants": ["full"], "file": str(target), "coverage": 100.0,
        "sha256": hashlib.sha256(mine.read_bytes()).hexdigest(), "licence": "own", "note": "",
        "noncommercial": True,
    }  # fmt: skip
    assert target.read_bytes() == mine.read_bytes()
    assert [p.name for p in target.parent.iterdir()] == ["b.pth"]
    assert load_model("beta").loaded.path == str(target)
    assert Ended("import", mine).code == 0  # the same file is there
    other = file(tmp_path, state(50, seed=1))
    with pytest.raises(WeightsError, match=r"Another file is at .*b\.pth; --force replaces it"):
        Ended("import", other)
    assert target.read_bytes() != other.read_bytes()
    Ended("import", other, "--force")
    assert target.read_bytes() == other.read_bytes()


def test_a_file_that_fits_several_needs_a_name(models: Models, tmp_path: Path) -> None:
    models(
        plugin(
            "alpha",
            a=(100, source("100k.pth", variants=("a",))),
            b=(100, source("1m.pth", variants=("b",))),
        ),
        plugin("beta", full=(100, source("b.pth"))),
    )
    mine = file(tmp_path, state(100))
    with pytest.raises(
        WeightsError,
        match=r"several .*: alpha \(a.*alpha \(b.*beta .*--model",
    ):
        Ended("import", mine)
    with pytest.raises(WeightsError, match=r": alpha \(a; 100k\.pth\); alpha \(b; 1m\.pth\)\."):
        Ended("import", mine, "--model", "alpha")
    Ended("import", mine, "--model", "alpha", "--variant", "b")
    assert (places.weights() / "alpha" / "1m.pth").is_file()
    Ended("import", mine, "--model", "beta")
    assert (places.weights() / "beta" / "b.pth").is_file()
    Ended("import", mine.rename(tmp_path / "100k.pth"))  # its name tells
    assert (places.weights() / "alpha" / "100k.pth").is_file()


def test_a_published_hash_decides(models: Models, tmp_path: Path) -> None:
    mine = file(tmp_path, state(100))
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    models(
        plugin("alpha", full=(100, source("a.pth"))),
        plugin("beta", full=(100, source("b.pth", sha256=digest[:8]))),
        plugin("gamma", full=(100, source("c.pth", sha256="0" * 8))),
    )
    assert Ended("import", mine, "--json").json["name"] == "beta"
    other = file(tmp_path, state(100, seed=1))
    assert Ended("import", other, "--json").json["name"] == "alpha"  # the others have hashes
    with pytest.raises(WeightsError, match=r"gamma .*, but not the published hash.*gamma="):
        Ended("import", other, "--model", "gamma")


def test_another_models_file_is_named(models: Models, tmp_path: Path) -> None:
    models(plugin("alpha", full=(100, source("a.pth"))), plugin("beta", full=(50, source("b.pth"))))
    mine = file(tmp_path, state(50))
    with pytest.raises(WeightsError, match=r"file of alpha\. They are those of beta \(full; b"):
        Ended("import", mine, "--model", "alpha")
    with pytest.raises(WeightsError, match=r"any model here\. Its first keys are x\.weight"):
        Ended("import", file(tmp_path, {"x.weight": torch.ones(3)}))
    with pytest.raises(UsageError, match="No variant 'c' of alpha"):
        Ended("import", mine, "--model", "alpha", "--variant", "c")
    with pytest.raises(UsageError, match="No model 'gamma'"):
        Ended("import", mine, "--model", "gamma")
    assert not places.weights().exists()


def test_parts_go_by_their_own_names(models: Models, tmp_path: Path) -> None:
    made = plugin("alpha", full=(100, source("one.pth")))
    made.FILES = {"one.pth": "one.", "two.pth": "two."}
    made.convert = lambda given: {k.removeprefix("two."): v for k, v in given.items()}
    models(made)
    part = file(tmp_path, state(100))
    assert Ended("import", part, "--json").json["file"].endswith("two.pth")
    joint = file(tmp_path, {f"two.{k}": v for k, v in state(100).items()})
    assert Ended("import", joint, "--json").json["file"].endswith("one.pth")


def test_a_copy_that_breaks_leaves_nothing(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models(plugin("alpha", full=(100, source("a.pth"))))

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(WeightsError, match=r"could not be copied to .*No space left"):
        Ended("import", file(tmp_path, state(100)))
    assert list((places.weights() / "alpha").iterdir()) == []
