"""What Python callers may pass; see skybench.plan.arguments."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import skybench
from skybench.core import SkybenchError, UsageError
from skybench.executors import execute
from skybench.plan import arguments, request
from skybench.plan.request import check_request

Request: Any = request.Request  # of which tests give fields of every type
FIELDS = {field.name for field in dataclasses.fields(Request)}
NAMES = ("models", "tasks", "datasets", "sensors", "recipes")
PAIRS = ("weights", "options", "arch", "overrides", "resources")
INTEGERS = ("seeds", "limit", "draw", "devices", "nodes", "micro", "jobs")
FLAGS = ("force", "recompute", "keep_weights", "tensorboard", "predictions", "strict")
TEXTS = ("protocol", "data", "device", "variant", "precision", "executor")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that gives the request that `skybench.run` makes of its arguments."""
    monkeypatch.setattr(execute, "execute_request", lambda asked: asked)

    def ask(*args: Any, **options: Any) -> Any:
        found: Any = skybench.run(*args, **options)
        assert isinstance(found, request.Request)
        return found

    return ask


def test_every_field_of_a_request_is_read() -> None:
    others = ("fraction", "results", "timeout", "budget", "shard")
    assert {*NAMES, *PAIRS, *INTEGERS, *FLAGS, *TEXTS, *others} == FIELDS
    assert arguments.READERS.keys() == FIELDS


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        (lambda: "s2", ("s2",)),
        (lambda: " planet , s2,", ("planet", "s2")),
        (lambda: ["s2"], ("s2",)),
        (lambda: ("planet", "s2"), ("planet", "s2")),
        (lambda: (n for n in ("planet", "s2")), ("planet", "s2")),
        (lambda: np.array(["planet", "s2"]), ("planet", "s2")),
        (lambda: Path("s2"), ("s2",)),
        (lambda: {"s2": 0}.keys(), ("s2",)),
    ],
)
def test_names_are_text_or_a_list(name: str, wrap: Callable[[], Any], expected: Any) -> None:
    assert getattr(Request(**{name: wrap()}), name) == expected


def test_a_list_keeps_the_comma_of_a_folder_s_path() -> None:
    assert Request(datasets=["folder:/a,b"]).datasets == ("folder:/a,b",)
    assert Request(sensors=["planet,s2"]).sensors == ("planet", "s2")


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_a_mapping_or_text(name: str) -> None:
    expected = {"a": "1", "b": "x"}
    for value in ({"a": 1, "b": "x"}, {"a": np.int64(1), "b": Path("x")}, ["a=1", "b=x"]):
        assert getattr(Request(**{name: value}), name) == expected
    if name != "options":  # whose values may hold commas
        assert getattr(Request(**{name: "a=1,b=x"}), name) == expected
    assert getattr(Request(**{name: None}), name) == {}
    assert getattr(Request(**{name: ()}), name) == {}


def test_values_of_pairs_are_written_as_on_the_command_line() -> None:
    given = {"augment": ("flip", "resize_crop=0.5,2"), "epochs": np.int32(5), "lr": np.float32(0.1)}
    assert Request(overrides=given).overrides == {
        "augment": "flip resize_crop=0.5,2", "epochs": "5", "lr": "0.1",
    }  # fmt: skip
    assert Request(overrides="augment=flip resize_crop=0.5,2").overrides["augment"].endswith("2")
    assert Request(arch={"bands": (1, 2), "deep": True}).arch == {"bands": "1,2", "deep": "true"}
    assert Request(options="dates=1,2").options == {"dates": "1,2"}


def test_weights_are_a_path_or_a_path_for_each_model() -> None:
    for value in ("random", Path("random"), ["random"], {"": "random"}):
        assert Request(weights=value).weights == {"": "random"}
    each = {"galileo": Path("/a.pt"), "imagenet": None}
    assert Request(weights=each).weights == {"galileo": "/a.pt", "imagenet": "auto"}
    assert Request(weights="galileo=/a.pt,random").weights == {"galileo": "/a.pt", "": "random"}


@pytest.mark.parametrize("name", INTEGERS)
def test_whole_numbers_are_numbers_of_any_kind_or_text(name: str) -> None:
    for value in (3, "3", 3.0, np.int64(3), np.float32(3), np.array(3), torch.tensor(3)):
        found = getattr(Request(**{name: value}), name)
        assert (found, type(found)) == (3, int)
    for wrong in ("three", 2.5, True, [3], "", "3.5", float("nan"), np.array([1, 2])):
        with pytest.raises(UsageError, match=f"Expected {name} to be a whole number, but got"):
            Request(**{name: wrong})


@pytest.mark.parametrize("name", FLAGS)
def test_flags_are_truth_values_and_no_text(name: str) -> None:
    for value in (True, 1, np.bool_(True)):
        assert getattr(Request(**{name: value}), name) is True
    for wrong in ("no", "", 2, [True], 1.0):
        with pytest.raises(UsageError, match=f"Expected {name} to be True or False"):
            Request(**{name: wrong})


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_text(name: str) -> None:
    for value in ("x", Path("x"), np.str_("x")):
        found = getattr(Request(**{name: value}), name)
        assert (found, type(found)) == ("x", str)
    for wrong in (3, b"x", object()):
        with pytest.raises(UsageError, match=f"Expected {name} to be text"):
            Request(**{name: wrong})


def test_other_kinds_of_fields() -> None:
    assert Request(fraction="0.5").fraction == Request(fraction=np.float32(0.5)).fraction == 0.5
    assert Request(results="~/x").results == Path("~/x").expanduser()
    assert Request(device=torch.device("cuda")).device == "cuda"
    assert Request(variant={"": "tiny", "satmae": "temporal"}).variant == "tiny,satmae=temporal"
    with pytest.raises(UsageError, match="Expected fraction to be a number, but got 'half'"):
        Request(fraction="half")


@pytest.mark.parametrize("name", sorted(FIELDS - {"models"}))
def test_none_is_the_default(name: str) -> None:
    assert getattr(Request(**{name: None}), name) == getattr(Request(), name)


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("wrong", [b"s2", object, 2.5, {1: 2}, [3], [None]], ids=repr)
def test_every_other_type_is_one_error(name: str, wrong: Any) -> None:
    if wrong == 2.5 and name in ("fraction", "timeout", "budget"):
        return
    with pytest.raises(UsageError, match=r"^Expected .*, but got .*\.$"):
        Request(**{name: wrong})


def test_run_reads_the_names_of_the_command_line(asked: Any) -> None:
    plain = asked("imagenet", "scene_classification", datasets=["eurosat"], overrides={"lr": 0.1})
    assert plain == asked(("imagenet",), ["scene_classification"], dataset="eurosat", set="lr=0.1")
    assert asked("imagenet", size=np.int64(64), set="lr=0.1").overrides == {
        "lr": "0.1",
        "size": "64",
    }
    assert asked("imagenet", None).tasks == ("all",)
    assert asked("imagenet,rcf", sensors="s2", micro_batch="2").models == ("imagenet", "rcf")
    assert asked("imagenet", data=Path("/d"), results="/r", weights="random").data == "/d"


def test_unknown_and_repeated_arguments_are_one_error(asked: Any) -> None:
    with pytest.raises(UsageError, match=r"No argument of run 'sensor'. Did you mean 'sensors'\?"):
        asked("imagenet", sensor="s2")
    with pytest.raises(UsageError, match="Expected datasets once, but got it as dataset too"):
        asked("imagenet", datasets="aid", dataset="eurosat")
    with pytest.raises(UsageError, match=r"Expected models to be a name, .* but got nothing"):
        asked(None)
    with pytest.raises(UsageError, match="Expected overrides NAME=VALUE, but got 'epochs'"):
        asked("imagenet", set="epochs")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": "imagenett"}, "Did you mean 'imagenet'"),
        ({"tasks": "scene"}, "No task 'scene'"),
        ({"datasets": "eurosatt"}, "Did you mean 'eurosat'"),
        ({"sensors": "s22"}, r"No sensor 's22'. Did you mean 's2'\? Known: "),
        ({"protocol": "knnn"}, "Did you mean 'knn'"),
        ({"options": "s2_band=x"}, "No option of a dataset 's2_band'"),
        ({"arch": "nothing=3"}, "No setting of these models 'nothing'"),
        ({"variant": "imagenett=tiny"}, "Did you mean 'imagenet'"),
    ],
)
def test_wrong_names_are_refused_with_the_known_ones(changed: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_request(Request(**{"models": "imagenet", "datasets": "eurosat", **changed}))
    check_request(Request(models="imagenet", datasets="folder:/x", sensors="mine"))


def test_the_other_functions_read_text_too(tmp_path: Path) -> None:
    skybench: Any = importlib.import_module("skybench")
    tiny = skybench.load_model("imagenet", "random", "tiny", dtype=torch.float32)
    assert not tiny.training
    assert skybench.load_model("imagenet", "random", None)
    with pytest.raises(UsageError, match="Expected the name of a model, but got None"):
        skybench.load_model(None)
    with pytest.raises(UsageError, match="Did you mean 'imagenet'"):
        skybench.load_model("imagenett")
    with pytest.raises(UsageError, match="Expected dtype to be one of"):
        skybench.load_model("imagenet", "random", dtype="float64")
    for name, root, split in (("aid", tmp_path, "tra"), ("aid", None, "train"), (3, "x", "train")):
        with pytest.raises(SkybenchError):
            skybench.load_dataset(name, root, split)
    assert skybench.table(str(tmp_path), "scene_classification,change_detection").empty
    assert skybench.table(tmp_path, None).empty
    with pytest.raises(UsageError, match="No task 'scene'"):
        skybench.table(tmp_path, "scene")


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(sorted(FIELDS)), ANY)
def test_any_value_is_read_or_one_error(name: str, value: Any) -> None:
    try:
        found = Request(**{name: value})
    except UsageError:
        return
    assert dataclasses.replace(found) == found  # what was read is read again as itself


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(90, 90.0), ("90", 90.0), ("30s", 30.0), (" 15M ", 900.0), ("1.5h", 5400.0), ("2d", 172800.0)],
)
def test_times_are_seconds_or_have_a_unit(given: Any, seconds: float) -> None:
    assert Request(timeout=given).timeout == seconds
    for wrong in ("-1h", "h", "8 hours", "inf", "nanh"):
        with pytest.raises(UsageError, match="Expected timeout to be"):
            Request(timeout=wrong)


def test_a_shard_is_a_part_of_a_whole() -> None:
    assert Request(shard=" 3 / 16").shard == "3/16"
    for wrong in ("0/4", "5/4", "3", "a/b", "1/2/3", "-1/4"):
        with pytest.raises(UsageError, match="Expected shard to be I/N"):
            Request(shard=wrong)
