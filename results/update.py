"""Writes the generated tables of results/README.md and README.md from results/measured.

`python results/update.py --check` only says whether they are up to date (exit code 1: stale).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from skybench.records import store
from skybench.report import paper_tables, tables

HERE = Path(__file__).resolve().parent
PAGES = (HERE / "README.md", HERE.parent / "README.md")
PLACE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def page(text: str) -> str:
    """The page with every marked place filled: a dataset, a label of one, all, or paper."""
    found, skipped = store.read_records(HERE / "measured")
    if skipped:
        raise SystemExit(f"not a record: {skipped[0]}")

    def fill(place: re.Match[str]) -> str:
        if place[2] == "paper":
            return f"{place[1]}\n{paper_tables.render_paper_tables(found, 'md')}\n\n{place[3]}"
        chosen = [r for r in found if place[2] in (r.dataset, r.recipe.get("label"), "all")]
        return f"{place[1]}\n{tables.render_tables(chosen, 'md', HERE / 'measured')}\n\n{place[3]}"

    return PLACE.sub(fill, text)


def main() -> int:
    """0 where nothing is stale any more."""
    check, stale = "--check" in sys.argv, []
    for path in PAGES:
        old = path.read_text(encoding="utf-8")
        new = page(old)
        if new != old:
            stale.append(path)
            if not check:
                path.write_text(new, encoding="utf-8")
    for path in stale:
        print(f"{'stale' if check else 'updated'}: {path}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
