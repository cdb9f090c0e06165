"""Runs a grid of tiny cells whose processes are killed at random, and compares the records.

    python -P benchmarks/killed_grid.py [--kills 30] [--jobs 2] [--seed 0] [--folder DIR]

First the grid runs undisturbed, then once more, into other folders, while its worker processes and
now and then the command itself are killed (SIGKILL, SIGTERM, SIGINT) at random moments; where the
command was, it is given again. At the end the records and everything beside them must be those of
the undisturbed run, but for times, and nothing else may be left. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EVERY = (2.0, 9.0)  # seconds between two kills
TIMED = ("made", "cost")  # fields of a record that two runs do not share
DRIVER = 0.2  # share of kills that hit the command itself
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


def main() -> int:
    """Run both grids; return the exit code."""
    asked = _arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else ignored in the background
    folder = Path(asked.folder or tempfile.mkdtemp(prefix="killed-grid-"))
    calm = _run(asked, folder / "calm")
    code = calm.wait()
    print(f"undisturbed: exit code {code}", flush=True)
    kills = _disturb(asked, folder / "wild")
    for what, count in sorted(kills.items()):
        print(f"{what}: {count}")
    problems = differences(folder / "calm", folder / "wild")
    print("\n".join(problems) or "the same records, and nothing else is left")
    if not problems and not asked.folder:
        shutil.rmtree(folder)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    reader.add_argument("--kills", type=int, default=30)
    reader.add_argument("--jobs", default="2")
    reader.add_argument("--seed", type=int, default=0)
    reader.add_argument("--folder", default="")
    reader.add_argument("--pause", type=float, default=1.0, help="factor of the time between kills")
    reader.add_argument("--model", default="all")
    reader.add_argument("--protocol", default="knn")
    return reader.parse_args()


def _run(asked: argparse.Namespace, folder: Path) -> subprocess.Popen[bytes]:
    """Start the grid; what it says goes to a file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    words = (
        f"run --task all --data demo --variant tiny --weights random --limit 6 --device cpu "
        f"--model {asked.model} --protocol {asked.protocol} --jobs {asked.jobs}"
    )
    own = {"SKYBENCH_RESULTS": str(folder / "runs"), "SKYBENCH_CACHE": str(folder / "cache")}
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "skybench", *words.split()],
            env={"OMP_NUM_THREADS": "1", **os.environ, **own}, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _disturb(asked: argparse.Namespace, folder: Path) -> collections.Counter[str]:
    """Run the grid and kill its processes, until a run ends undisturbed; return who was killed."""
    rng, kills = random.Random(asked.seed), collections.Counter[str]()
    while True:
        command = _run(asked, folder)
        sent: signal.Signals | None = None
        while command.poll() is None and sent is None:
            time.sleep(asked.pause * rng.uniform(*EVERY) if kills.total() < asked.kills else 1.0)
            if kills.total() >= asked.kills or command.poll() is not None:
                continue
            workers = _workers(command.pid)
            if workers and rng.random() > DRIVER:
                os.kill(rng.choice(workers), signal.SIGKILL)
                kills["workers killed"] += 1
            elif workers:
                sent = [*CODES][
                    sum(kills[f"command ended by {s.name}"] for s in CODES) % len(CODES)
                ]
                command.send_signal(sent)
                kills[f"command ended by {sent.name}"] += 1
        code = command.wait()
        if sent is not None:
            _check_end(folder, sent, code)
        elif not asked.kills or kills.total() >= asked.kills:
            return kills
        else:  # the grid ended before all kills: what is left of them hits nothing
            print(f"the grid ended after {kills.total()} kills (exit code {code})", flush=True)
            return kills if code == 0 else _again(asked, folder, kills)


def _again(
    asked: argparse.Namespace, folder: Path, kills: collections.Counter[str]
) -> collections.Counter[str]:
    """Give the command once more, undisturbed: cells that lost two processes failed."""
    code = _run(asked, folder).wait()
    print(f"and once more: exit code {code}", flush=True)
    return kills


def _workers(driver: int) -> list[int]:
    """The processes of cells that a command has started, in order of their numbers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            words = path.with_name("cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if int(fields[1]) == driver and b"--multiprocessing-fork" in words:
            found.append(int(path.parent.name))
    return sorted(found)


def _check_end(folder: Path, sent: signal.Signals, code: int) -> None:
    """Say where a command did not end as its signal asks, or left processes behind."""
    if code != CODES[sent]:
        print(f"{sent.name} ended the command with exit code {code}", flush=True)
    limit = time.monotonic() + 60
    while (left := _processes_of(folder)) and time.monotonic() < limit:
        time.sleep(0.2)
    if left:
        print(f"{sent.name} left the processes {left}", flush=True)


def _processes_of(folder: Path) -> list[int]:
    """All processes with this cache, by their environment."""
    found = []
    for process in [path for path in Path("/proc").iterdir() if path.name.isdecimal()]:
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
            text = (process / "environ").read_bytes()
            if f"SKYBENCH_CACHE={folder / 'cache'}".encode() in text.split(b"\0"):
                found.append(int(process.name))
    return found


def differences(calm: Path, wild: Path) -> list[str]:
    """Return what two runs do not share, and what they should not have left."""
    ours, theirs = _files(calm / "runs"), _files(wild / "runs")
    problems = [f"only undisturbed: {name}" for name in sorted(ours.keys() - theirs.keys())]
    problems += [f"only disturbed: {name}" for name in sorted(theirs.keys() - ours.keys())]
    same = sorted(ours.keys() & theirs.keys())
    problems += [f"differs: {name}" for name in same if ours[name] != theirs[name]]
    records = [name for name in same if name.endswith(".json")]
    states = collections.Counter(ours[name]["status"] for name in records)
    print(f"{len(records)} records: " + ", ".join(f"{n} {s}" for s, n in states.items()))
    hidden = [p for p in (wild / "cache").rglob("*") if ".tmp" in p.name or p.suffix == ".lock"]
    return problems + [f"left behind: {path}" for path in hidden]


def _files(results: Path) -> dict[str, Any]:
    """All files below a folder, with what of them two runs must share."""
    return {str(p.relative_to(results)): _content(p) for p in results.rglob("*") if p.is_file()}


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        record = json.loads(path.read_text())
        record["used"].pop("features", None)  # whether they were made anew
        return {name: value for name, value in record.items() if name not in TIMED}
    if path.suffix == ".draws":
        text = path.read_text().rpartition("\n")[2]  # below its checksum
        return {n: v for n, v in json.loads(text).items() if n != "record"}
    return path.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
