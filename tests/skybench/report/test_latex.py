"""What LaTeX makes of the tables; skipped where there is none."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import Record
from skybench.report import paper_tables, tables

ODD = Record(
    "imagenet", "scene_classification", "aid",
    {"protocol": "finetune", "label": "20 %", "seeds": 2, "options": []},
    "measured", "demo", "f" * 64, {"oa": 71.234}, {"oa": 0.5}, {"oa": [69.0, 73.0]},
    seeds=[{"seed": 0}, {"seed": 1}], flags=["random weights", "tiny variant", "chance"],
    used={"weights": "random", "variant": "tiny_#1", "overridden": []},
)  # fmt: skip
BROKEN = replace(
    ODD, model="rcf", scores={}, spread={}, intervals={}, status="failed", data="real",
    note="DataError: 100 % of a_b & {c} \\ ~ ^ $5 < 6 > 4 | #7 \"is\" [8]",
)  # fmt: skip
WIDE = [
    replace(ODD, dataset=name) for name in ("aid", "dior", "eurosat", "isaid", "oscd", "potsdam")
]


def packages(text: str) -> str:
    """What the table says that it needs."""
    return text.splitlines()[0].removeprefix("% ")


@pytest.mark.parametrize(
    "text",
    [
        tables.render_tables([*WIDE, BROKEN], "latex"),
        paper_tables.render_paper_tables([ODD], "latex"),
    ],
    ids=["table", "paper"],
)
def test_latex_compiles_without_errors_and_no_table_is_cut_off(tmp_path: Path, text: str) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    whole = [
        "\\documentclass{article}",
        packages(text),
        "\\begin{document}",
        text,
        "\\end{document}",
    ]
    (tmp_path / "t.tex").write_text("\n".join(whole), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    log = (tmp_path / "t.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log


def test_every_table_says_what_it_needs_and_fits_the_text() -> None:
    text = paper_tables.render_paper_tables([], "latex")
    count = text.count("\\begin{table}")
    assert packages(text) == "\\usepackage{booktabs,graphicx}"
    assert text.count("\\usepackage{booktabs,graphicx}") == count
    assert text.count("\\resizebox") == count
