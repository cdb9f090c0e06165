"""Claims: the average gains that papers state, recomputed from their published cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skybench.analysis import comparable
from skybench.analysis.comparable import ComparisonKey
from skybench.analysis.compare import mean
from skybench.core import Record, UsageError
from skybench.records import published
from skybench.records.identity import place_label
from skybench.records.labels import flag_marks, footnotes, recipe_label
from skybench.records.published import PaperCell, PublishedScore

PAPER = "SkySense arXiv:2312.10115 (CVPR 2024)"
MAIN = ("Table 2", "Table 3", "Table 4", "Table 5")
Cells = Mapping[PaperCell, float]


@dataclass(frozen=True)
class CellDifference:
    """The scores of two models in one cell, and their difference."""

    place: PaperCell
    ours: float
    theirs: float
    flags: tuple[Sequence[str], Sequence[str]] = ((), ())  # ours, theirs; of measured scores

    @property
    def difference(self) -> float:
        """First minus second score, in percentage points."""
        return self.ours - self.theirs


@dataclass(frozen=True)
class Claim:
    """A gain that a paper states, and the recomputed one."""

    model: str  # over which the gain is
    of: str  # whose gain
    cells: int
    claimed: float | None  # None: nobody claims it
    recomputed: float
    reproduces: bool | None  # to the decimals that were printed
    where: str
    rule: str
    others: Mapping[str, float]  # what other rules give
    pairs: tuple[CellDifference, ...]

    def row(self) -> dict[str, Any]:
        """Plain JSON."""
        found = asdict(self)
        found["pairs"] = [
            {**c.place._asdict(), self.of: c.ours, self.model: c.theirs,
             "difference": round(c.difference, 4),
             "flags": dict(zip((self.of, self.model), map(list, c.flags), strict=True))}
            for c in self.pairs
        ]  # fmt: skip
        return found


def _grouped(pairs: Sequence[CellDifference], by: Callable[[CellDifference], Any]) -> float:
    groups: dict[Any, list[float]] = {}
    for cell in pairs:
        groups.setdefault(by(cell), []).append(cell.difference)
    return mean(mean(g) for g in groups.values())


def _one_of_pair(pairs: Sequence[CellDifference], dropped: str) -> float:
    return mean(c.difference for c in pairs if c.place.split != dropped)


# Every rule takes the unweighted mean of what it says; the first is the one that fits the abstract.
RULES: Mapping[str, Callable[[Sequence[CellDifference]], float]] = {
    "every cell": lambda pairs: mean(c.difference for c in pairs),
    "dataset means": lambda pairs: _grouped(pairs, lambda c: (c.place.task, c.place.dataset)),
    "task means": lambda pairs: _grouped(pairs, lambda c: c.place.task),
    "relative gains": lambda pairs: mean(100 * c.difference / c.theirs for c in pairs),
    "first of a pair": lambda pairs: _one_of_pair(pairs, "pair[1]"),
    "last of a pair": lambda pairs: _one_of_pair(pairs, "pair[0]"),
}


def paired(ours: Cells, theirs: Cells) -> tuple[CellDifference, ...]:
    """Return the common cells, in the order of the first model."""
    return tuple(CellDifference(p, value, theirs[p]) for p, value in ours.items() if p in theirs)


def _claim(
    model: str, of: str, claimed: float, where: str, pairs: tuple[CellDifference, ...]
) -> Claim:
    results = {name: rule(pairs) for name, rule in RULES.items()}
    (rule, recomputed), *others = results.items()
    decimals = len(repr(claimed).partition(".")[2])
    return Claim(
        model, of, len(pairs), claimed, round(recomputed, 4),
        round(recomputed, decimals) == claimed, where, f"mean difference over {rule}",
        {name: round(value, 4) for name, value in others}, pairs,
    )  # fmt: skip


def _of(rows: Iterable[PublishedScore], model: str, **wanted: str) -> dict[PaperCell, float]:
    return {
        r.place: r.value
        for r in rows
        if r.model == model and all(getattr(r, k) == v for k, v in wanted.items())
    }


def paper_claims() -> list[Claim]:
    """Return the gains that SkySense and SkySense V2 claim, beside the recomputed ones."""
    rows = [r for r in published.published_scores() if r.source == PAPER and r.table in MAIN]
    skysense = _of(rows, "skysense")
    made = [
        _claim(model, "skysense", gain, "abstract", paired(skysense, _of(rows, model)))
        for model, gain in (("gfm", 2.76), ("satlas", 3.67), ("scale_mae", 3.61))
    ]
    best: dict[PaperCell, float] = {}
    for r in rows:
        if r.model != "skysense" and r.table == "Table 2":
            best[r.place] = max(best.get(r.place, 0.0), r.value)
    made.append(_claim("best previous", "skysense", 1.86, "text, Table 2", paired(skysense, best)))
    fair1m = _of(rows, "cmid", dataset="fair1m")
    made.append(_claim("cmid", "skysense", 3.99, "text, Table 3", paired(skysense, fair1m)))
    second = [r for r in published.published_scores() if r.source.startswith("SkySense V2")]
    newer = paired(_of(second, "skysense_v2"), skysense)
    made.append(_claim("skysense", "skysense_v2", 1.8, "abstract of SkySense V2", newer))
    return made


def measured_claims(model: str, records: Iterable[Record]) -> list[Claim]:
    """Return the mean gain of a model measured here over every other one, by the same rule.

    Over cells that both have under one protocol, on all of the real data, with trained weights of
    the published size; several variants or checkpoints of a model are several models.
    """
    known = [
        r for r in records
        if r.main and r.data == "real" and not comparable.UNTRAINED & set(r.flags)
    ]  # fmt: skip
    others = [e for m in sorted({r.model for r in known} - {model}) for e in _entrants(known, m)]
    made = []
    for name, own in _entrants(known, model):
        for other, theirs in others:
            common = [g for g in own if g in theirs]
            for protocol in sorted({g.protocol for g in common}):
                pairs = [_measured(own[g], theirs[g]) for g in common if g.protocol == protocol]
                gain = RULES["every cell"](pairs)
                usable = list(RULES.items())[1 : 4 if all(p.theirs for p in pairs) else 3]
                rules = {n: round(rule(pairs), 4) for n, rule in usable}
                where, rule = f"measured here, {protocol}", "mean difference over every cell"
                made.append(
                    Claim(other, name, len(pairs), None, round(gain, 4), None, where, rule, rules,
                          tuple(pairs))
                )  # fmt: skip
    return made


def _entrants(
    records: Sequence[Record], model: str
) -> Iterator[tuple[str, Mapping[ComparisonKey, Record]]]:
    """A model's variants by name, each with its cells on all of the data."""
    usual = {
        comparable.variant_words(r)
        for r in records
        if r.model == model and not comparable.qualifiers(r)
    }
    names = [model] if usual else []
    try:
        found = [comparable.records_of_model(records, name) for name in names]
    except UsageError:
        names = ["/".join(filter(None, (model, *words))) for words in sorted(usual)]
        found = [comparable.records_of_model(records, name) for name in names]
    for name, cells in zip(names, found, strict=True):
        yield name, {g: r for g, r in cells.items() if g.whole}


def _measured(ours: Record, theirs: Record) -> CellDifference:
    label, sensors = place_label(ours), f"{ours.sensors} {recipe_label(ours)}".strip()
    (metric, one), (_, other) = ours.main or ("", 0.0), theirs.main or ("", 0.0)
    place = PaperCell(ours.dataset, ours.task, label, sensors, metric)
    return CellDifference(place, one, other, (ours.flags, theirs.flags))


def _kind(claim: Claim, pair: CellDifference) -> str:
    """The sensors and settings of a measured score."""
    return f"{pair.place.modalities:20} " if claim.claimed is None else ""


def claims_text(made: Sequence[Claim]) -> str:
    """Return claims as text: each with its cells and the results of other rules."""
    if not made:
        return (
            "No other model has a cell in common on all of the real data, with trained weights of "
            "the published size; `skybench compare` sets any two side by side."
        )
    lines = []
    for c in made:
        verdict = {True: ": reproduces", False: ": does NOT reproduce", None: ""}[c.reproduces]
        claimed = "" if c.claimed is None else f"claimed +{c.claimed}, recomputed "
        lines.append(
            f"{c.of} over {c.model} ({c.where}): {claimed}{c.recomputed:+.4f} from "
            f"{c.cells} cells{verdict}"
        )
        lines += [
            f"  {p.place.dataset:10} {p.place.split:20} {_kind(c, p)}{p.place.metric:6} "
            f"{p.ours:6.2f}{flag_marks(p.flags[0])} - {p.theirs:6.2f}{flag_marks(p.flags[1])} = "
            f"{p.difference:+6.2f}"
            for p in c.pairs
        ]
        rules = ", ".join(f"{name} {value:+.4f}" for name, value in c.others.items())
        lines += [f"  Rule: {c.rule}. Other rules: {rules}.", ""]
    lines += footnotes(f for c in made for p in c.pairs for own in p.flags for f in own)
    if all(c.claimed is not None for c in made):
        lines.append("All numbers are from papers; skybench measured none of them.")
    return "\n".join(lines)
