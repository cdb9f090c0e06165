"""The careful script alone: `python benchmarks/careful_script.py FOLDER`, on skybench's network.

FOLDER: train, val and test with a folder of JPEGs for each class. Prints the test accuracy of each
fraction of the training set, mean and deviation over the seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from skybench.bench.careful import careful_features, careful_scores
from skybench.bench.whole_job import CASES, plain_network
from skybench.heads.logistic import LAMBDAS


def main(folder: str) -> None:
    """Print a line for each fraction."""
    case = CASES["full"]
    splits = careful_features(Path(folder), plain_network(), case.size)
    found = careful_scores(splits, case.fractions, case.seeds, LAMBDAS)
    for fraction in case.fractions:
        scores = [found[fraction, seed] for seed in range(case.seeds)]
        print(f"{fraction:5.0%}  {np.mean(scores):.2f} +- {np.std(scores):.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
