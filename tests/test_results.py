"""The generated tables are what the records say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_tables_of_the_pages_are_not_stale() -> None:
    done = subprocess.run(
        [sys.executable, "-P", str(ROOT / "results" / "update.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run `make table`"


def test_every_option_and_command_that_the_readme_names_exists() -> None:
    from typer.main import get_command

    from skybench.cli import app

    text = (ROOT / "README.md").read_text() + (ROOT / "results" / "README.md").read_text()
    top = get_command(app.app)
    commands = top.commands  # type: ignore[attr-defined]
    options = {o for c in [*commands.values()] for p in c.params for o in p.opts}
    options |= {
        o
        for group in commands.values()
        for c in getattr(group, "commands", {}).values()
        for p in c.params
        for o in p.opts
    }
    import re

    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert named <= options | {"--check"}, named - options
    for word in re.findall(r"skybench ([a-z][a-z-]*)", text):
        assert word in commands or word in ("is", "cannot", "did"), word
