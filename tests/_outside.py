"""Installs the package that a page of docs/ shows as somebody else's, and runs commands with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
FILE = re.compile(r"`(\w+)/(\w+\.py)`[^\n]*\n\n```python\n(.*?)```", re.DOTALL)


def files(page: str) -> dict[str, str]:
    """The modules that a page shows: path in the package's site folder -> code."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return {f"{package}/{name}": code for package, name, code in FILE.findall(text)}


def install(page: str, site: Path) -> dict[str, str]:
    """Write the page's package and its entry points below `site`; return the environment to use."""
    for path, code in files(page).items():
        file = site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(code, encoding="utf-8")
    package = next(iter(files(page))).partition("/")[0]
    text = (DOCS / page).read_text(encoding="utf-8")
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    groups = tomllib.loads(project)["project"]["entry-points"]
    (info := site / f"{package}-1.0.dist-info").mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    own = {"PYTHONPATH": str(site), "SKYBENCH_CACHE": str(site / "cache"), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own}


def skybench(environment: dict[str, str], *arguments: str) -> str:
    """Run the command line; return its output. Fails the test, with the error, where it fails."""
    command = [sys.executable, "-P", "-m", "skybench", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
