"""Published and measured scores side by side: which record may stand beside which, and why not.

A record stands beside a published score only when it was fine-tuned on the real data with published
weights, under an unchanged recipe that is the usual one or the one that made the published score,
and when its column is of the published row's kind: see `conditions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from skybench.core import FAULTS, Record, SkybenchError, SourcedRecipe, registry
from skybench.core.score import PERCENT
from skybench.plan.former_recipes import FORMER, usual_sourced, with_recipes
from skybench.plan.named_recipes import recipes_of
from skybench.plan.protocols import protocol_of_record
from skybench.records import conditions, published
from skybench.records.identity import content_key, place_label
from skybench.records.published import PaperCell, PublishedScore
from skybench.report.claims import PAPER

TABLES = ("Table 2", "Table 3", "Table 4", "Table 5", "Table 6/7")
ON_TEST = "chosen on the test"  # the flag of a record whose epoch the scored images chose
# Flags of a record that forbid to set it beside a published score.
BARRED = frozenset(
    ("random weights", "tiny variant", "limited", "override", "own split", FORMER, ON_TEST,
     *FAULTS)
) - {"far from the paper", "chance", "seen in pre-training"}  # fmt: skip
METRICS = {
    "OA": "oa", "mIoU": "miou", "mF1": "mf1", "F1": "f1", "SCS": "SCS", "mAP50": "ap50",
    "top-1": "oa", "top-5": "top5",
}  # fmt: skip
AVERAGE = {"oriented_detection": "ap50_voc07"}  # what "mAP" is there; else micro mAP of labels
SENSORS = {"RGB": "hr", "Planet": "hr", "S2": "s2", "S1": "s1"}
FROZEN_RECIPE = "seco"  # of a frozen encoder, by name, as the rows of conditions.FROZEN were made
UNSETTLED = "which of a pair is val and which is test is not settled, so nothing measured is beside"
SERVER = "scored on a server that withholds the labels, so nothing measured here is beside"
NO_COLUMN = "no column of its kind"
SUBSTITUTE = "its 0.3 m images are not public; PASTIS-HD, measured here, is another dataset"


def reported_rows() -> tuple[PublishedScore, ...]:
    """Return the published scores of the paper's tables."""
    return tuple(r for r in published.published_scores() if r.source == PAPER and r.table in TABLES)


def paper_place(row: PublishedScore) -> PaperCell:
    """Return the cell that a score of the paper stands in, in the column of rows made alike."""
    return conditions.with_column(row.model, row.place)


def why_apart(place: PaperCell) -> str:
    """Return why no measured score is comparable with a cell of the paper; "" where one is."""
    if place.split.startswith("pair["):
        return UNSETTLED
    if place.split == "official test server":
        return SERVER
    if place.dataset == "pastis_mm":
        return SUBSTITUTE
    return ""


def paper_score(record: Record, place: PaperCell) -> float | None:
    """Return the record's score for a cell of the paper; None where it is not comparable.

    place: see `paper_place`.
    """
    if (record.task, record.dataset) != (place.task, place.dataset) or why_apart(place):
        return None
    plain = record.status == "measured" and record.data == "real"
    if not plain or barring_flags(record, place) or not _made_alike(record, place):
        return None
    if place.modalities:  # OSCD has RGB and all bands of Sentinel-2, others have several sensors
        wanted = {SENSORS.get(m) for m in place.modalities.split("+")}
        if wanted != set(record.used.get("sensors", ())):
            return None
    name = METRICS.get(place.metric, AVERAGE.get(place.task, "map_micro"))
    return record.scores.get(name) if record.score_info(name).unit == PERCENT else None


def barring_flags(record: Record, place: PaperCell) -> frozenset[str]:
    """Return the flags that forbid to set a record beside a cell.

    An epoch that the test images chose is none of them where the source of the model's published
    score chose it so.
    """
    found = BARRED & {*record.flags}
    return found - {ON_TEST} if conditions.chosen_on_test(record.model, place) else found


def _made_alike(record: Record, place: PaperCell) -> bool:
    """Whether protocol, column and recipe of a record are those of a cell's rows."""
    trains = protocol_of_record(record).trains_backbone
    if place.column == conditions.FROZEN:
        return not trains and record.recipe.get("name") == FROZEN_RECIPE
    share = place.split.removeprefix("TR=").replace("%", " %") if "TR=" in place.split else ""
    label = ", ".join(filter(None, (place.column, share)))
    if not trains or record.recipe.get("label", "") not in (label, place.split):
        return False
    other = other_recipe(record)
    return other is None or bool(place.column) or record.model in other.rows


def other_recipe(record: Record) -> SourcedRecipe | None:
    """Return the recipe by name that a record was made with; None for the usual one."""
    name = record.used.get("recipe_name") or record.recipe.get("name", "")
    try:
        task, card = registry.task(record.task), registry.dataset(record.dataset).CARD
    except SkybenchError:  # a plugin that is gone
        return None
    protocol = record.recipe["protocol"]
    alike = (s for s in recipes_of(task, card) if s.recipe.protocol == protocol)
    found = next((s for s in alike if s.name == name), None)
    return None if found is usual_sourced(task, card, protocol) else found


def measured_scores(
    records: Iterable[Record],
) -> Mapping[tuple[str, PaperCell, str], tuple[float, Record]]:
    """Return the newest comparable score for each table, cell and model.

    Those of one cell are on the images and labels of the newest.
    """
    ordered = sorted(with_recipes(records), key=lambda r: r.made)
    places = dict.fromkeys((r.table, paper_place(r)) for r in reported_rows())
    found: dict[tuple[str, PaperCell, str], tuple[float, Record]] = {}
    for table, place in places:
        own: dict[str, tuple[float, Record]] = {}
        for record in ordered:
            value = paper_score(record, place)
            if value is not None:
                own[record.model] = (value, record)
        contents = {content_key(r): r.made for _, r in own.values()}
        newest = max(contents, key=lambda c: contents[c], default="")
        found |= {(table, place, model): (value, r) for model, (value, r) in own.items()
                  if content_key(r) == newest}  # fmt: skip
    return found


def _could_stand(record: Record) -> bool:
    """Whether a record may stand beside some cell of the paper."""
    return any(paper_score(record, paper_place(r)) is not None for r in reported_rows())


def why_barred(record: Record) -> str:
    """Return why a fine-tuned record of a dataset of the paper is not beside it; "" where it is.

    Also "" for what nobody would expect there: other datasets, simulated data, other protocols.
    """
    places = [paper_place(r) for r in reported_rows()
              if (r.task, r.dataset) == (record.task, record.dataset)]  # fmt: skip
    expected = record.main and record.data == "real" and places
    if not expected or not protocol_of_record(record).trains_backbone or _could_stand(record):
        return ""
    barred = sorted(frozenset[str]().union(*(barring_flags(record, p) for p in places)))
    apart = [*dict.fromkeys(map(why_apart, places))]
    other = other_recipe(record)
    of_others = f"recipe {other.name}, which made no row of this model" if other else ""
    return ", ".join(barred) or (apart[0] if len(apart) == 1 else "") or of_others or NO_COLUMN


def left_out(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return for each of the paper's tables which fine-tuned records are not in it, and why."""
    table = {(r.task, r.dataset): r.table for r in reported_rows()}
    known = with_recipes(records)
    shown = {(r.model, r.task, r.dataset) for _, r in measured_scores(known).values()}
    left: dict[str, list[str]] = {}
    for r in known:
        why = why_barred(r)
        if _could_stand(r) and (r.model, r.task, r.dataset) not in shown:
            why = "of other images or labels than the newest record"
        if why:
            name = f"{r.dataset} {place_label(r)}".strip()
            left.setdefault(table[r.task, r.dataset], []).append(
                f"Not beside: {r.model} on {name}: {why}."
            )
    return left
