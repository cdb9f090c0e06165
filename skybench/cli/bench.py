"""The commands of `skybench bench`: groups of benchmarks, readers of own copies, statistics."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from skybench.cli import results
from skybench.cli.data import Data


class Groups(TyperGroup):
    """A command group whose first word may be a group of benchmarks, or nothing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what is no command for arguments of the benchmarks."""
        known = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if known else ["run", *args])


def run_benchmarks(
    groups: Annotated[
        list[str], typer.Argument(help="Groups, as heads,boxes (see bench list); default: all.")
    ] = [],  # noqa: B006
    size: Annotated[
        str, typer.Option(help="short (minutes), full (the real sizes) or tiny (to try it).")
    ] = "short",
    as_json: results.Json = False,
) -> None:
    """Times skybench beside its peers on one thread, and says which targets hold."""
    from skybench.cli import output_bench

    output_bench.show_benchmarks(groups, size, as_json)


def list_groups(as_json: results.Json = False) -> None:
    """Lists the groups of benchmarks."""
    from skybench.bench.groups import GROUPS
    from skybench.cli import output

    rows = [{"group": name, "what": group.title} for name, group in GROUPS.items()]
    output.show_rows(rows, as_json)


def time_own_readers(
    names: Annotated[list[str], typer.Argument(help="Ids; default: all.")] = [],  # noqa: B006
    data: Data = "demo",
    seconds: Annotated[float, typer.Option(help="For each dataset.")] = 2.0,
    as_json: results.Json = False,
) -> None:
    """Times the readers on the datasets that are here, beside torchgeo's class if there is one."""
    from skybench.cli import output

    output.bench_data(names, data, seconds, as_json)


def measure_statistics(
    repetitions: Annotated[
        int, typer.Option(help="Test sets of each kind; the error falls with their root.", min=20)
    ] = 1000,
    score: Annotated[str, typer.Option(help="Only scores with this in their name.")] = "",
    as_json: results.Json = False,
) -> None:
    """Measures how often 95 % intervals hold and p < 0.05 without a difference, by simulation."""
    from skybench.bench import statistics
    from skybench.cli import output
    from skybench.core import UsageError

    cases = [case for case in statistics.CASES if score.lower() in case.title.lower()]
    if not cases:
        known = ", ".join(case.title for case in statistics.CASES)
        raise UsageError(f"No score has {score!r} in its name. Known: {known}.")
    rows = statistics.bench_statistics(repetitions, cases=cases)
    output.show_rows([row._asdict() for row in rows], as_json)
