"""Published files are downloaded, checked and found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.core import (
    CannotRun,
    DataError,
    UsageError,
    WeightsError,
    folders,
)  # fmt: skip
from skybench.weights.load import load_model

from ..records._published import Ended, plugin, source, state

Models = Callable[..., None]


def published(tmp_path: Path, filename: str, content: Any) -> tuple[str, str]:
    """Puts a file on the site; its sha256 and md5."""
    torch.save(content, tmp_path / "site" / filename)
    data = (tmp_path / "site" / filename).read_bytes()
    return hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("known", ["sha256", "first digits", "md5", "nothing"])
def test_a_file_is_downloaded_checked_and_found(
    models: Models, site: str, asked: list[str], tmp_path: Path, known: str
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
    file = folders.weights() / "alpha" / "alpha.pth"
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
    models: Models, site: str, asked: list[str], tmp_path: Path
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
    with pytest.raises(UsageError, match="of alpha are published for 'tiny', but for s2, s1"):
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
    with pytest.raises(WeightsError, match="are not available: never published"):
        Ended("download", "beta")
    with pytest.raises(WeightsError, match="gamma has no learned weights"):
        Ended("download", "gamma")
    with pytest.raises(CannotRun, match="delta cannot be built: no code"):
        Ended("download", "delta")


def test_a_file_that_a_package_ships_is_not_downloaded() -> None:
    (row,) = Ended("download", "imagenet", "--json").json
    assert "efficientnet_lite0" in row["file"]
    assert (row["state"], row["hash"]) == ("ok", "as published")
