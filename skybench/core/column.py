"""Columns of the results table: which splits of a dataset are learned from and scored."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """The splits of a column of the results table; a data set has several if papers do."""

    train: str = "train"
    val: str = "val"  # selects hyperparameters, where a recipe does; "": a fifth of train does
    test: str = "test"
    label: str = ""  # tells the columns of a data set apart, as "20 %"
    options: tuple[str, ...] = ()  # of `open`, each NAME=VALUE, beside those of recipe and setup
