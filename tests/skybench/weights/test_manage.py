"""Files that are here are verified, recognised and put into their places."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.core import (
    UsageError,
    WeightsError,
    folders,
)  # fmt: skip
from skybench.weights.load import load_model

from ..records._published import Ended, plugin, put, source, state

Models = Callable[..., None]


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


def puncture(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        record = next(r for r in archive.infolist() if r.filename.endswith("data/0"))
    data = bytearray(path.read_bytes())
    begin = record.header_offset + 200
    data[begin : begin + 500] = bytes(500)
    path.write_bytes(data)


def test_a_hole_in_a_file_without_a_published_hash_is_found(models: Models) -> None:
    puncture(put("alpha", "a.pth", state(100)))
    models(plugin("alpha", full=(100, source("a.pth"))))
    done = Ended("verify", "--json")
    assert done.code == 1
    assert "another checksum" in done.json[0]["note"]


def test_a_hole_in_one_of_several_parts_is_found(models: Models) -> None:
    made = plugin("alpha", full=(100, source("one.pth")))
    made.FILES = {"one.pth": "one.", "two.pth": "two."}
    made.convert = lambda given: {k.partition(".")[2]: v for k, v in given.items()}
    put("alpha", "one.pth", state(100))
    puncture(put("alpha", "two.pth", state(100)))
    models(made)
    done = Ended("verify", "--json")
    assert done.code == 1
    assert "two.pth is damaged" in done.json[0]["note"]


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
    target = folders.weights() / "beta" / "b.pth"
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
    assert (folders.weights() / "alpha" / "1m.pth").is_file()
    Ended("import", mine, "--model", "beta")
    assert (folders.weights() / "beta" / "b.pth").is_file()
    Ended("import", mine.rename(tmp_path / "100k.pth"))  # its name tells
    assert (folders.weights() / "alpha" / "100k.pth").is_file()


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
    # It may be the authors' own edition of beta's or gamma's, whose hash nobody published.
    with pytest.raises(WeightsError, match=r"several .*: alpha .*; beta .*; gamma .*--model"):
        Ended("import", other)
    assert Ended("import", other, "--model", "alpha", "--json").json["name"] == "alpha"
    with pytest.raises(WeightsError, match=r"gamma .*, but not the published hash.*gamma="):
        Ended("import", other, "--model", "gamma")


def test_a_name_decides_beside_files_of_known_hash(models: Models, tmp_path: Path) -> None:
    models(
        plugin("alpha", full=(100, source("a.pth"))),
        plugin("beta", full=(100, source("b.pth", sha256="0" * 8))),
    )
    assert Ended("import", file(tmp_path, state(100), "a.pth"), "--json").json["name"] == "alpha"


def test_without_a_published_hash_every_model_is_offered(models: Models, tmp_path: Path) -> None:
    models(
        plugin("alpha", full=(100, source("a.pth", sha256="0" * 8))),
        plugin("beta", full=(100, source("b.pth", sha256="1" * 8))),
    )
    mine = file(tmp_path, state(100))
    with pytest.raises(
        WeightsError, match=r"--weights alpha=.*mine\.pth or --weights beta=.*--variant"
    ):
        Ended("import", mine)


def test_a_file_with_a_hole_is_not_imported(models: Models, tmp_path: Path) -> None:
    models(plugin("alpha", full=(100, source("a.pth"))))
    mine = file(tmp_path, state(100))
    puncture(mine)
    with pytest.raises(WeightsError, match="another checksum"):
        Ended("import", mine)
    assert not folders.weights().exists()


def test_another_models_file_is_named(models: Models, tmp_path: Path) -> None:
    models(plugin("alpha", full=(100, source("a.pth"))), plugin("beta", full=(50, source("b.pth"))))
    mine = file(tmp_path, state(50))
    with pytest.raises(
        WeightsError, match=r"file of alpha\. They are the weights of beta \(full; b"
    ):
        Ended("import", mine, "--model", "alpha")
    with pytest.raises(WeightsError, match=r"any model in skybench\. Its first keys are x\.weight"):
        Ended("import", file(tmp_path, {"x.weight": torch.ones(3)}))
    with pytest.raises(UsageError, match="No variant 'c' of alpha"):
        Ended("import", mine, "--model", "alpha", "--variant", "c")
    with pytest.raises(UsageError, match="No model 'gamma'"):
        Ended("import", mine, "--model", "gamma")
    assert not folders.weights().exists()


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
    assert list((folders.weights() / "alpha").iterdir()) == []
