"""A SLURM of scripts on PATH: sbatch keeps what it gets, squeue and sacct print a file."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

SBATCH = """\
    #!/bin/sh
    if [ -f {home}/refuses ]; then cat {home}/refuses >&2; exit 1; fi
    number=$(ls {home}/scripts | wc -l)
    cp "$1" {home}/scripts/$((17 + number)).sh
    echo "Submitted batch job $((17 + number))"
    """
PRINTS = """\
    #!/bin/sh
    echo "{name} $*" >> {home}/calls
    if [ -f {home}/{name}.fails ]; then cat {home}/{name}.fails >&2; exit 1; fi
    cat {home}/{name}.says 2>/dev/null || true
    """


class FakeSlurm:
    """What was asked of it, and what it answers."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "scripts").mkdir(parents=True)
        (home / "bin").mkdir()
        self._command("sbatch", SBATCH)
        for name in ("squeue", "sacct", "srun", "scontrol"):
            self._command(name, PRINTS)

    def _command(self, name: str, script: str) -> None:
        path = self.home / "bin" / name
        path.write_text(textwrap.dedent(script).format(home=self.home, name=name))
        path.chmod(0o755)

    @property
    def scripts(self) -> list[str]:
        """The scripts that were submitted, in order."""
        return [path.read_text() for path in sorted((self.home / "scripts").iterdir())]

    @property
    def calls(self) -> list[str]:
        """The commands that asked for something, in order."""
        path = self.home / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def says(self, command: str, *lines: str) -> None:
        """Let a command print lines."""
        (self.home / f"{command}.says").write_text("".join(f"{line}\n" for line in lines))

    def fails(self, command: str, message: str) -> None:
        """Let a command fail."""
        (self.home / f"{command}.fails").write_text(message)

    def refuses(self, message: str) -> None:
        """Let sbatch refuse all jobs."""
        (self.home / "refuses").write_text(message)


def install_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Put the scripts on PATH."""
    slurm = FakeSlurm(folder / "slurm")
    monkeypatch.setenv("PATH", f"{slurm.home / 'bin'}:/usr/bin:/bin")
    return slurm
