"""Output of the commands about data: demo copies, findings, split lists, downloads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from skybench.cli.output import say
from skybench.cli.progress import Bar
from skybench.core import SkybenchError, registry


def write_demo(out: Path | None, names: Sequence[str]) -> None:
    """Write demo data into empty folders, or into the cache."""
    from skybench.data.demo_folder import demo_root

    chosen = [registry.resolve("datasets", n) for n in names] or registry.names("datasets")
    if out is None:
        for name in chosen:
            say(f"{name}: {demo_root(name)}")
        say("Use it with: skybench run --data demo ...")
        return
    for name in chosen:
        if (out / name).exists() and any((out / name).iterdir()):
            raise SkybenchError(f"{out / name} is not empty; give another --out, or remove it.")
    for name in chosen:
        (out / name).mkdir(parents=True, exist_ok=True)
        registry.dataset(name).write_demo(out / name)
        say(f"{name}: {out / name}")
    say(f"Use it with: skybench run --data {out} ...")


def verify_data(name: str, data: str, options: Mapping[str, str], as_json: bool) -> int:
    """Print the findings about a dataset's folder; return the exit code, 1 for an error."""
    from skybench.data.verify import verify_dataset as check
    from skybench.plan.planner import Planner
    from skybench.plan.request import Request

    plain_name = registry.resolve("datasets", name.partition(":")[0])
    asked = plain_name + name[len(name.partition(":")[0]) :]
    root = Planner(Request(data=data)).root(asked)
    findings = check(plain_name, root, options=options)
    if as_json:
        print(json.dumps([f._asdict() for f in findings], indent=1, default=str))
    else:
        for f in findings:
            print(f"{f.level:8}{f.message}" + (f" ({f.path})" if f.path else ""))
    return 1 if any(f.level == "error" for f in findings) else 0


def fetch_splits(name: str, source: Path | None) -> None:
    """Fetch a dataset's official split lists, and print their paths."""
    from skybench.data import split_lists

    for path in split_lists.fetch_lists(registry.resolve("datasets", name), source):
        say(f"checked {path}")


def download_data(name: str, data: str) -> None:
    """Download a dataset to the folder where it is looked for."""
    from skybench.data import download as getter
    from skybench.plan.planner import Planner
    from skybench.plan.request import Request

    known = registry.resolve("datasets", name)
    root = Planner(Request(data=data)).root(known)
    if getattr(plugin := registry.dataset(known), "REMOTES", ()):
        say(f"{known}: licence {plugin.CARD.licence}")
    with Bar() as bar:
        found = getter.download_dataset(known, root, bar)
    for path in found:
        say(f"there: {path}")
