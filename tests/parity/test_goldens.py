"""Adapters against stored outputs of the authors' own code, by name, through the shipped loading.

The folder is SKYBENCH_GOLDENS, by default the project's own copy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.core import folders

from . import _golden as golden

# Every `_<family>.py` beside this file has RUNNERS (beginning of a case's name -> Runner), and may
# have MISTAKES (a case, and a function that spoils the loaded model).
FAMILIES = [
    importlib.import_module(f"{__package__}.{m.name}")
    for m in pkgutil.iter_modules([str(Path(__file__).parent)])
    if m.name.startswith("_") and m.name != "_golden"
]
RUNNERS: dict[str, golden.Runner] = {k: r for f in FAMILIES for k, r in f.RUNNERS.items()}
MISTAKES: list[tuple[str, Callable[[Any], None]]] = [
    mistake for f in FAMILIES for mistake in getattr(f, "MISTAKES", [])
]
BIG = 50e6  # parameters
# Cases under published weights: where the file lies below SKYBENCH_WEIGHTS and below ../shared.
REAL = {
    "galileo_nano_real": ("galileo/encoder.pt", "weights/galileo_nano/encoder.pt"),
    "presto_real": ("presto/default_model.pt", "weights/presto/default_model.pt"),
}
# Models of the index that have no adapter here yet.
UNADAPTED = ("clip_", "fgmae_", "geoclip_", "satclip_", "skysensepp_", "terrafm_", "tessera_")
WEIGHTS = folders.weights()  # before a fixture hides the user's folder


def runner(name: str) -> golden.Runner:
    fitting = [prefix for prefix in RUNNERS if name.startswith(prefix)]
    assert fitting, f"no runner for the golden {name}"
    return RUNNERS[max(fitting, key=len)]


def cases() -> list[Any]:
    def marks(name: str) -> list[pytest.MarkDecorator]:
        here = (golden.FOLDER / f"{name}.keys.json").exists()
        big = here and (golden.spec(name)["meta"].get("params") or 0) > BIG
        return [pytest.mark.slow] if big else []

    return [pytest.param(name, marks=marks(name), id=name) for name in golden.names()]


def real_weights(name: str, request: pytest.FixtureRequest) -> Path:
    """The published file of a case, if this machine has it."""
    own, other = REAL[name]
    if (WEIGHTS / own).is_file():
        return WEIGHTS / own
    shared: Path = request.getfixturevalue("shared")
    if not (shared / other).is_file():
        pytest.skip(f"needs the published weights (SKYBENCH_WEIGHTS/{own})")
    return shared / other


def test_the_folder_holds_goldens() -> None:
    assert golden.names(), f"no goldens in {golden.FOLDER}"


@pytest.mark.parametrize("name", golden.names())
def test_the_published_layout_loads_completely(name: str) -> None:
    load = runner(name).load
    case = golden.spec(name)
    with torch.device("meta"):  # shapes without numbers: full-size networks cost nothing
        state = {k: torch.empty(s, dtype=d) for k, (s, d) in golden.shapes(case).items()}
        model = load(case, state)
    coverage = model.loaded.coverage
    assert coverage is not None
    assert coverage.share == 1
    assert len(coverage.missing) <= len(case["meta"].get("not_in_ckpt", []))
    assert not coverage.mismatched


@pytest.mark.parametrize("name", cases())
def test_the_adapter_computes_what_the_authors_code_does(
    name: str, request: pytest.FixtureRequest
) -> None:
    load, run = runner(name)
    if not (golden.FOLDER / f"{name}.npz").exists():
        pytest.skip("its values are kept by the maintainers")
    case = golden.spec(name)
    state = real_weights(name, request) if name in REAL else golden.checkpoint(case)
    model = load(case, state)
    del state
    with torch.inference_mode():
        found = golden.difference(name, run(case, model))
    assert found
    assert max(found.values()) <= golden.TOLERANCE, found


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_a_mistake_is_far_outside_the_tolerance(
    name: str, mistake: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "FOLDER", Path(__file__).parents[1] / "goldens")
    case = golden.spec(name)
    load, run = runner(name)
    model = load(case, golden.checkpoint(case))
    mistake(model)
    with torch.inference_mode():
        found = golden.difference(name, run(case, model))
    assert max(found.values()) > 10 * golden.TOLERANCE


def test_every_case_of_the_index_has_a_runner(shared: Path) -> None:
    """INDEX.csv lists the cases that the maintainers keep too."""
    lines = (shared / "goldens" / "INDEX.csv").read_text().splitlines()[1:]
    names = [line.partition(",")[0] for line in lines]
    assert len(names) > 150
    for name in names:
        assert name == "gfm_relpos_interp" or name.startswith(UNADAPTED) or runner(name)
