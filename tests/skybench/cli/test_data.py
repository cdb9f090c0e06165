"""The commands of `skybench data`, on demo data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skybench.cli.data import parsed_pairs


def test_demo_data_are_written_verified_and_read_by_path(skybench: Any, tmp_path: Path) -> None:
    out = tmp_path / "copies"
    assert skybench("data", "demo", "eurosat", "--out", str(out)).code == 0
    assert skybench("data", "verify", "eurosat", "--data", str(out)).code == 0
    again = skybench("data", "demo", "eurosat", "--out", str(out))
    assert again.code == 2
    assert "is not empty" in again.err
    words = ["run", "--model", "rcf", "--task", "all", "--protocol", "knn"]
    named = skybench(*words, "--dataset", "eurosat", "--data", str(out), "--json").json
    direct = skybench(*words, "--dataset", f"eurosat:{out / 'eurosat'}", "--json").json
    assert named[0]["data"] == "demo"  # the marker in the folder tells, not the option
    assert named[0]["fingerprint"] == direct[0]["fingerprint"]
    cached = skybench("data", "demo", "eurosat")
    assert "skybench run --data demo" in cached.err
    assert skybench("data", "verify", "eurosat", "--data", "demo").code == 0
    missing = skybench("data", "verify", "aid", "--data", str(out))
    assert missing.code in (1, 2)
    found = {
        r["name"]: r["found"] for r in skybench("data", "list", "--data", str(out), "--json").json
    }
    assert found["eurosat"]
    assert not found["aid"]


def test_what_may_not_be_downloaded_is_explained(skybench: Any, tmp_path: Path) -> None:
    ended = skybench("data", "download", "potsdam", "--data", str(tmp_path))
    assert ended.code == 2
    for text in ("cannot be downloaded", "ISPRS", "Licence: ", "2_Ortho_RGB"):
        assert text in ended.err
    assert not list(tmp_path.glob("potsdam/*"))
    assert skybench("data", "download", "potsdm").code == 2


def test_augmentations_keep_their_commas_on_the_command_line() -> None:
    given = ["epochs=5,batch=4", "augment=flip resize_crop=0.5,2", "views=window=64,32"]
    assert parsed_pairs(given, "--set") == {
        "epochs": "5",
        "batch": "4",
        "augment": "flip resize_crop=0.5,2",
        "views": "window=64,32",
    }
