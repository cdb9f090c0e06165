from __future__ import annotations

import dataclasses

from skybench.core import Column, FieldSource, Recipe, Setup, SourcedRecipe
from skybench.core.recipe import TOLD
from skybench.core.sourced_recipe import ASPECTS

GFM = SourcedRecipe(
    name="gfm",
    kind="own source",
    recipe=Recipe("finetune", epochs=100, lr=1e-4),
    repository="mmendiet/GFM@4dd248e",
    file="configs/BEN.yaml",
    fields={
        "lr": FieldSource("agrees", "configs/BEN.yaml:12"),
        "length": FieldSource("agrees", "other/repo@1234567:main.py:3"),
        "state": FieldSource("differs", "main.py:9", "best epoch there"),
    },
    rows=("gfm",),
    columns=(Column("few", "", "val", "RGB"),),
)
OURS = SourcedRecipe("plain", "ours", Recipe("finetune", epochs=30))


def test_every_field_of_a_recipe_belongs_to_one_aspect_or_to_none_that_a_source_has() -> None:
    named = [name for names in ASPECTS.values() for name in names]
    assert len(named) == len({*named})
    fields = {f.name for f in dataclasses.fields(Recipe)}
    run = {"protocol", "sensors", "fraction", "limit", "seeds"}
    assert fields - {*named} - {*TOLD} == run


def test_places_are_within_the_repository_unless_they_name_another() -> None:
    assert GFM.place("lr") == "mmendiet/GFM@4dd248e:configs/BEN.yaml:12"
    assert GFM.place("length") == "other/repo@1234567:main.py:3"
    assert GFM.place("batch") == ""
    assert GFM.verdict("batch").verdict == "ours"


def test_the_source_says_kind_file_and_differences() -> None:
    stated = GFM.stated()
    assert stated.name == "gfm"
    assert stated.source == (
        "own source: mmendiet/GFM@4dd248e:configs/BEN.yaml; differs: state (best epoch there)"
    )
    assert OURS.stated().source == "ours: made here"


def test_the_first_of_a_protocol_is_the_usual_one() -> None:
    setup = Setup(sourced=(OURS, GFM))
    assert setup.recipe("finetune", Recipe("finetune")).name == "plain"
    assert setup.recipe("frozen", Recipe("frozen", epochs=1)) == Recipe("frozen", epochs=1)
    assert setup.named("gfm") is GFM
    assert setup.named("none") is None


def test_one_that_is_never_usual_is_taken_only_where_it_was_put_first() -> None:
    special = dataclasses.replace(GFM, usual=False)
    assert Setup(sourced=(OURS, special)).recipe("finetune", Recipe("x")).name == "plain"
    assert Setup(sourced=(special, OURS)).recipe("finetune", Recipe("x")).name == "gfm"


def test_a_recipe_by_name_may_have_its_own_columns() -> None:
    setup = Setup(sourced=(OURS, GFM), columns=(Column(label="all"),))
    assert [r.label for r in setup.expand(OURS.stated(), False)] == ["all"]
    (own,) = setup.expand(GFM.stated(), False)
    assert (own.train, own.test, own.label, own.name) == ("few", "val", "RGB", "gfm")
