"""Records of other machines, edited or made up: each command goes on, with a skipped file at most.

Any value in a record is replaced by any other JSON value. Either the record is refused with a
reason, or every command that reads records works on it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from skybench.cli import output, output_results
from skybench.core import Record, SkybenchError, fingerprint
from skybench.metrics.accuracy import Accuracy
from skybench.records import predictions, store
from skybench.report import claims

KEYS = ("..", "a/b", "", "oa", "test", "hr", "sha256", "x")
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([10**17, -(10**17), 10**40]),
    st.floats(allow_nan=True), st.text(max_size=5),
    st.sampled_from([
        "../../x", "/etc/x", "..", ".", "a\x00b", "\ud800", "real", "demo", "measured", "failed",
        "oa", "a=b", "imagenet", "rcf", "folder", "knn", "finetune", "random", "1e400", "[]",
    ]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2)
    ),
    max_leaves=4,
)


def rich(record: Record) -> dict[str, Any]:
    """A record's JSON with every field that runs write."""
    raw = dataclasses.asdict(record)
    raw["spread"], raw["per_class"] = {"oa": 0.0}, {"a": {"recall": 75.0}}
    raw["seeds"] = [{"seed": 0, "scores": {"oa": raw["scores"]["oa"]}, "chosen": {"steps": 9}}]
    raw["flags"], raw["cost"] = ["limited", "chance"], {"parameters": 5, "joules": {"nvml": 1.5}}
    raw["recipe"] |= {
        "label": "20 %", "size": 64, "tile": 0, "lr": 0.001, "sensors": ["hr"], "augment": ["flip"],
        "options": ["dates=weekly"], "fraction": 0.5, "limit": 20, "epochs": 3, "source": "ours",
    }  # fmt: skip
    raw["used"] |= {
        "overridden": ["epochs", "options", "dates"], "arch": {"gsd": 0.3, "stages": [1, 2]},
        "offered": ["hr", "s2"], "error": 1.5, "content": {"train": "ab" * 6, "test": "cd" * 6},
        "content_kind": "all files", "folder": "/data/a", "revision": "0123456789", "device": "cpu",
        "inputs": {"hr": {"sensor": "hr", "bands": ["red"], "unit": "uint8", "scale": 1.0}},
        "splits": {"test": {"name": "test", "source": "ours", "sha256": "ef" * 32, "demo": False}},
        "coverage": {"share": 1.0, "missing": [], "drawn": []}, "alarms": {"chance": "low"},
        "versions": {"skybench": "0.1.0", "torch": "2.6"},
        "cards": {"model": 1, "dataset": 1, "task": 1},
        "features": {"sha256": "12" * 32, "keys": "34" * 32, "seen": {"hr": [[64, 64], [64, 64]]}},
        "score_info": {"oa": {"higher_is_better": True, "unit": "%", "low": 0.0, "high": 100.0}},
    }  # fmt: skip
    return raw


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a JSON value, outer ones first."""
    yield path
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield from places(one, (*path, key)) if isinstance(one, dict | list) else [(*path, key)]


def changed(raw: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a path."""
    copy = json.loads(json.dumps(raw))
    if not path:
        return value
    outer = copy
    for key in path[:-1]:
        outer = outer[key]
    outer[path[-1]] = value
    return copy


def every_command(results: Path, other: Path, fingerprint: str) -> None:
    """Run every command that reads records; errors of skybench are messages to the user."""
    commands: list[Callable[[], Any]] = [
        *(lambda f=f: output_results.show_table(results, "", f, False)
          for f in ("text", "md", "latex", "csv", "json")),
        *(lambda f=f: output_results.show_table(results, "", f, True)
          for f in ("text", "json")),
        lambda: output_results.show_rescored(results, "", "", False),
        lambda: output_results.show_comparison(("imagenet", "rcf"), "", "", results, False),
        lambda: output_results.show_comparison(("imagenet", "rcf"), "", "", results, True),
        lambda: output_results.show_ranking(
            output_results.read_ranking((), "", "", "worst", results), None, False
        ),
        lambda: output_results.show_curve("", "", None, results, False),
        lambda: output.show_reproduction(fingerprint, results, False),
        lambda: output.export_record(fingerprint, results / "out", results),
        lambda: output.merge_records([results], other, False),
        lambda: claims.claims_text(claims.measured_claims(*output.measured("imagenet", results))),
    ]  # fmt: skip
    for command in commands:
        with contextlib.suppress(SkybenchError):
            command()


def written(model: str, label: str, right: list[bool], results: Path) -> Record:
    """A record of accuracies with its predictions."""
    metric = Accuracy(("a", "b"))
    for one in right:
        metric.update(int(not one), 0)
    used = {"sensors": ["hr"], "weights": "ab" * 32, "variant": "full", "classes": ["a", "b"],
            "chance": 20.0, "content": {"train": "ab" * 6, "test": "cd" * 6}}  # fmt: skip
    record = Record(
        model, "scene_classification", "aid", {"protocol": "linear", "label": label, "seeds": 1},
        "measured", "real", fingerprint.fingerprint({"model": model, "label": label}),
        dict(metric.scores()), intervals={"oa": [60.0, 90.0]},
        samples={"train": 10, "test": len(right)}, used=used, made="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    path = store.write_record(record, results)
    keys = tuple(f"image{i}" for i in range(len(right)))
    predictions.save_predictions(path.with_suffix(".npz"), keys, [metric])
    return record


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, dict[str, Any], Path]:
    """A folder with records of two models; one of them as JSON, and its file."""
    right, results = [True] * 15 + [False] * 5, tmp_path / "runs"
    first = written("imagenet", "20 %", right, results)
    for model, label in (("imagenet", "50 %"), ("rcf", "20 %"), ("rcf", "50 %")):
        written(model, label, right[::-1], results)
    raw, path = rich(first), results / first.path
    path.write_text(json.dumps(raw))
    assert store.find_record(results, first.path) is not None
    return results, raw, path


@settings(
    max_examples=50, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data())
def test_whatever_a_record_holds_it_is_skipped_or_every_command_works(
    folder: tuple[Path, dict[str, Any], Path], data: st.DataObject
) -> None:
    results, raw, path = folder
    where = data.draw(st.sampled_from([*places(raw)]))
    record = changed(raw, where, data.draw(VALUES))
    path.write_text(json.dumps(record))
    found, skipped = store.read_records(results)
    assert len(found) + len(skipped) == 4
    assert all(file.reason and "Error(" not in file.reason for file in skipped)
    before = set(results.parent.iterdir())
    silence = io.StringIO()
    if not skipped:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            every_command(results, results / "merged", str(record["fingerprint"]))
    assert set(results.parent.iterdir()) == before  # nothing outside of the folder


@pytest.mark.parametrize("name", ["model", "task", "dataset", "protocol", "sensors", "fingerprint"])
@pytest.mark.parametrize("value", ["../../../x", "/tmp/x", "..", "", "a\x00b", "a\\b", ".hidden"])
def test_no_name_of_a_record_leads_out_of_the_folder(
    folder: tuple[Path, dict[str, Any], Path], name: str, value: str
) -> None:
    results, raw, path = folder
    place = {"protocol": ("recipe", "protocol"), "sensors": ("used", "sensors", 0)}
    path.write_text(json.dumps(changed(raw, place.get(name, (name,)), value)))
    _, (skipped,) = store.read_records(results)
    assert "expected a" in skipped.reason or "expected hexadecimal" in skipped.reason
    before = set(results.parent.rglob("*"))
    silence = io.StringIO()
    with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        output.merge_records([results], results / "merged", False)
    assert all(p.is_relative_to(results / "merged") for p in {*results.parent.rglob("*")} - before)
