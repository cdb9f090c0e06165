"""The first 15 minutes on a GPU: `python benchmarks/gpu_check.py [--tiny] [--out FILE] [STEP ...]`.

Nothing of this has run on a GPU yet. With --tiny it runs on any machine, on what device there is,
to show that the script works. Steps run in order within 14 minutes; one that fails does not stop
the others. Each prints a line of JSON, and all go to FILE, so that a run that is cut off leaves
what it had measured. `skybench bench extraction` comes after it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gpu_rates import DEVICE, Row, check_compile, check_rates, forward, images_of, synchronise

from skybench import load_dataset, load_model
from skybench.bench.made_images import write_classes
from skybench.bench.pooled_heads import MadeSource
from skybench.core import FitContext, registry, variants
from skybench.data.batching import batches
from skybench.heads.knn import KNN
from skybench.heads.logistic import Logistic
from skybench.runner.device import device_facts
from skybench.training.fit import predict_in_batches

BUDGET = 14 * 60  # seconds


def check_machine(tiny: bool) -> Iterator[Row]:
    """What `skybench doctor` says of the GPU."""
    yield {**device_facts(), "cores": os.cpu_count(), "torch": torch.__version__}


def check_variants(tiny: bool) -> Iterator[Row]:
    """Every tiny network here beside the CPU, in float32 without and with TF32."""
    for tf32 in (False, True):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        far = {f"{n} {v}": d for n, v in tiny_networks(tiny) if (d := distance(n, v)) > 1e-4}
        yield {"tf32": tf32, "further than 1e-4 from the CPU": far}
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def tiny_networks(few: bool) -> list[tuple[str, str]]:
    """All tiny networks, or three of them."""
    plugins = {n: registry.model(n) for n in registry.names("baselines")}
    found = [
        (n, v)
        for n, p in plugins.items()
        if not p.CARD.unavailable
        for v in variants.resolve_variants(p, "tiny")
    ]
    return found[:3] if few else found


@torch.inference_mode()
def distance(name: str, variant: str) -> float:
    """Largest relative distance of a network's features on the device from those on the CPU."""
    model = load_model(name, "random", variant)
    given = images_of(model, 2, 32, 2 if model.card.temporal else 1)
    host = model(given.to("cpu"))
    here = model.to(DEVICE)(given)
    pairs = zip((here.pooled, *here.pyramid), (host.pooled, *host.pyramid), strict=True)
    return max(float((a.cpu() - b).norm() / b.norm()) for a, b in pairs)


def check_loader(tiny: bool) -> Iterator[Row]:
    """JPEGs of 224 pixels that are decoded and stacked in a second, by worker processes."""
    count, side = (40, 32) if tiny else (8000, 224)
    with tempfile.TemporaryDirectory() as name:
        write_classes(Path(name), {"train": count}, 4, side)
        samples = load_dataset("folder", name, "train")
        for workers in (1, 2) if tiny else (1, 4, 16):
            start = time.perf_counter()
            read = sum(len(t) for _, t in batches(samples, 0, 128, workers, DEVICE))
            yield {"workers": workers, "images/s": round(read / (time.perf_counter() - start), 1)}


def command(root: Path, *words: str) -> str:
    """Run a command with its own cache and results; return what it prints."""
    own = {"SKYBENCH_CACHE": str(root / "cache"), "SKYBENCH_RESULTS": str(root / "results")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "skybench", *words], env={**os.environ, **own},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-2000:])
    return done.stdout


def made_source(count: int, width: int, classes: int, several: bool, seed: int) -> MadeSource:
    """Pooled features with labels that they can tell."""
    made = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(0))
    label = torch.randint(classes, (count,), generator=made)
    features = torch.randn(count, width, generator=made).add_(centres[label], alpha=0.1)
    truth = torch.nn.functional.one_hot(label, classes) if several else label
    return MadeSource(features, truth)


# (title, training samples, validation samples, width, classes, several labels an image)
HEADS = (
    ("BigEarthNet", 269_695, 123_723, 1024, 19, True),
    ("fMoW-Sentinel", 712_874, 84_939, 1024, 62, False),
)


def check_heads(tiny: bool) -> Iterator[Row]:
    """The lambda sweep, and the nearest neighbours, at real sizes, with the memory they take."""
    for title, train, held, width, classes, several in HEADS:
        shrink = 1000 if tiny else 1
        one = made_source(train // shrink, width // (16 if tiny else 1), classes, several, 1)
        other = made_source(held // shrink, width // (16 if tiny else 1), classes, several, 2)
        for head in (Logistic(classes, refit=False), KNN(classes, refit=False)):
            if DEVICE == "cuda":
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            chosen = head.fit(one, other, FitContext(0, DEVICE))
            synchronise()
            peak = torch.cuda.max_memory_allocated() / 1e9 if DEVICE == "cuda" else None
            yield {"head": type(head).__name__, "size of": title, "s": time.perf_counter() - start,
                   "peak GB": peak, "val": chosen["val"]}  # fmt: skip


def check_tasks(tiny: bool) -> Iterator[Row]:
    """Demo cells of all tasks, and fine-tuning in each precision: they come out as on the CPU."""
    cells = [("all", "frozen", "")]
    lower = [] if DEVICE == "cpu" else ["", "bf16", "fp16"]
    cells += [(t, "finetune", p) for t in ("horizontal_detection", "oriented_detection",
              "semantic_segmentation", "scene_classification") for p in lower]  # fmt: skip
    for task, protocol, precision in [("scene_classification", "knn", "")] if tiny else cells:
        words = ["--set", f"precision={precision}"] if precision else []
        words += ["--dataset", "eurosat"] if tiny else []
        for device in (DEVICE, "cpu")[: 1 if protocol == "finetune" else 2]:
            with tempfile.TemporaryDirectory() as name:
                start = time.perf_counter()
                told = json.loads(command(
                    Path(name), "run", "--model", "imagenet,galileo", "--task", task, "--data",
                    "demo", "--protocol", protocol, "--device", device, "--json", *words,
                ))  # fmt: skip
            for record in told:
                scores = [*record["scores"].items()][:1]
                yield {"device": device, "precision": precision, "s": time.perf_counter() - start,
                       "model": record["model"], "dataset": record["dataset"],
                       "status": record["status"], "score": scores}  # fmt: skip


def check_memory(tiny: bool) -> Iterator[Row]:
    """Little memory: prediction halves its batches until they fit."""
    model = load_model("scale_mae", "random", "tiny" if tiny else "full").to(DEVICE)
    if DEVICE == "cuda":
        torch.cuda.set_per_process_memory_fraction(0.02)
    asked: list[int] = []

    def answers(start: int, most: int) -> list[int]:
        asked.append(most)
        given = images_of(model, min(most, 64 - start), 224)
        forward(model, given, None)
        return [*range(len(given.keys))]

    try:
        found = sum(1 for _ in predict_in_batches(64, 64, answers))
    finally:
        if DEVICE == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
    yield {"predicted": found, "of": 64, "batches asked for": asked}


STEPS: dict[str, Callable[[bool], Iterator[Row]]] = {
    "machine": check_machine,
    "variants": check_variants,
    "rates": check_rates,
    "loader": check_loader,
    "heads": check_heads,
    "memory": check_memory,
    "tasks": check_tasks,
    "compile": check_compile,
}


def main() -> None:
    """Run the steps and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--out", type=Path, default=Path("gpu_check.jsonl"))
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"default: {' '.join(STEPS)}")
    options = parser.parse_args()
    if unknown := set(options.steps) - set(STEPS):
        parser.error(f"no step {', '.join(sorted(unknown))}; known: {' '.join(STEPS)}")
    start = time.monotonic()
    with options.out.open("w", encoding="utf-8") as file:
        for name in options.steps or STEPS:
            if time.monotonic() - start > BUDGET:
                break
            for row in guarded(STEPS[name], options.tiny):
                line = json.dumps({"step": name, "at": round(time.monotonic() - start), **row})
                print(line, flush=True)
                print(line, file=file, flush=True)


def guarded(step: Callable[[bool], Iterator[Row]], tiny: bool) -> Iterator[Row]:
    """The rows of a step, and at last what went wrong in it."""
    try:
        yield from step(tiny)
    except Exception as error:  # the others are worth their minutes
        yield {"failed": f"{type(error).__name__}: {error}"[-2000:]}


if __name__ == "__main__":
    main()
