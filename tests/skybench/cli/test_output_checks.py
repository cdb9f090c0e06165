from __future__ import annotations

import json
import sys

import pytest

from skybench.cli import app
from tests.skybench._plugins import installed, module
from tests.skybench.checks.test_model_check import CARD, Adapter, without_nir


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["skybench", *words])
    with pytest.raises(SystemExit) as end:
        app.main()
    return int(end.value.code or 0)


def test_a_sound_model_passes_in_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check-model", "skysense", "--variant", "tiny") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "19 checks, 0 failed. Changes are relative to the features."
    assert "(1) the order of dates does not count" in lines


def test_a_plugin_of_another_package_that_ignores_a_band_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = module(
        "deaf", CARD=CARD, VARIANTS={"full": None}, convert=dict,
        build=lambda variant, **arch: Adapter(without_nir),
    )  # fmt: skip
    with installed(monkeypatch, baselines={"deaf": plugin}):
        assert call(monkeypatch, "check-model", "deaf", "--json") == 1
        found = json.loads(capsys.readouterr().out)
        (band,) = (row for row in found if row["verdict"] == "FAIL")
        assert (band["check"], band["note"]) == ("every band counts", "ignored: nir")
