"""Adapters against stored outputs of the authors' own code, by name, through the shipped loading.

The folder is SKYBENCH_GOLDENS, by default the project's own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from skybench import places
from skybench.model import Model

from . import _golden as golden
from . import _skysense as skysense


class Runner(NamedTuple):
    load: Callable[[Mapping[str, Any], Mapping[str, Tensor] | Path], Model]
    run: Callable[[Mapping[str, Any], Any], dict[str, Tensor]]


RUNNERS = {
    "skysense_hr": Runner(skysense.load_hr, skysense.run_hr),
    "skysense_s2": Runner(skysense.load_vit, skysense.run_vit),
    "skysense_s1": Runner(skysense.load_vit, skysense.run_vit),
    "skysense_fusion": Runner(skysense.load_fusion, skysense.run_fusion),
    "skysense_uphead": Runner(skysense.load_uphead, skysense.run_uphead),
    "skysense_full": Runner(skysense.load_full, skysense.run_full),
    "galileo_nano": Runner(golden.load_galileo, golden.run_galileo),
}
# Families that have goldens but no adapter yet; shrink this as adapters come.
LATER = (
    "anysat", "caco", "clay", "cmid", "copernicusfm", "croma", "decur", "dinomm", "dinov3", "dofa",
    "gassl", "gfm", "mtp", "olmoearth", "panopticon", "presto", "prithvi", "ringmo", "rsp", "rvsa",
    "samrs", "satlas", "satmae", "satvit", "scalemae", "seco", "softcon", "ssl4eo", "terramind",
    "tov",
)  # fmt: skip
BIG = 50e6  # parameters
REAL = "_real"  # cases under the published weights
WEIGHTS = places.weights() / "galileo" / "encoder.pt"  # before a fixture hides the user's folder


def runner(name: str) -> Runner:
    for prefix, found in RUNNERS.items():
        if name.startswith(prefix):
            return found
    if name.startswith(LATER):
        pytest.skip("no adapter yet")
    raise AssertionError(f"no adapter and no entry in LATER for the golden {name}")


def cases() -> list[Any]:
    def marks(name: str) -> list[pytest.MarkDecorator]:
        here = (golden.FOLDER / f"{name}.keys.json").exists()
        big = here and (golden.spec(name)["meta"].get("params") or 0) > BIG
        return [pytest.mark.slow] if big else []

    return [pytest.param(name, marks=marks(name), id=name) for name in golden.names()]


def real_weights(request: pytest.FixtureRequest) -> Path:
    """Galileo's published nano encoder, if this machine has it."""
    if WEIGHTS.is_file():
        return WEIGHTS
    shared: Path = request.getfixturevalue("shared")
    path = shared / "weights" / "galileo_nano" / "encoder.pt"
    if not path.is_file():
        pytest.skip("needs Galileo's published weights (SKYBENCH_WEIGHTS/galileo/encoder.pt)")
    return path


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
    assert len(coverage.missing) == len(case["meta"].get("not_in_ckpt", []))
    assert len(coverage.unexpected) == len(case["meta"].get("extra_keys_in_ckpt", []))
    assert not coverage.mismatched


@pytest.mark.parametrize("name", cases())
def test_the_adapter_computes_what_the_authors_code_does(
    name: str, request: pytest.FixtureRequest
) -> None:
    load, run = runner(name)
    if not (golden.FOLDER / f"{name}.npz").exists():
        pytest.skip("its values are kept by the maintainers")
    case = golden.spec(name)
    state = real_weights(request) if name.endswith(REAL) else golden.checkpoint(case)
    model = load(case, state)
    del state
    with torch.inference_mode():
        found = golden.difference(name, run(case, model))
    assert found
    assert max(found.values()) <= golden.TOLERANCE, found


def _without_extra_norm(model: Any) -> None:
    model.net.stages[2].blocks[5].norm3 = None


def _without_shift(model: Any) -> None:
    model.net.stages[0].blocks[1].shifted = False


def _with_tanh(model: Any) -> None:
    for stage in model.net.stages:
        for block in stage.blocks:
            block.ffn[1] = torch.nn.GELU("tanh")


def _with_finer_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-6


def _a_day_late(model: Any) -> None:
    model.ctpe.data = model.ctpe.roll(1, 1)


MISTAKES = [
    ("skysense_hr_tiny_sharp", _without_extra_norm),
    ("skysense_hr_tiny_sharp", _without_shift),
    ("skysense_hr_tiny_sharp", _with_tanh),
    ("skysense_s1_tiny", _with_finer_epsilon),
    ("skysense_full_tiny", _a_day_late),
]


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
