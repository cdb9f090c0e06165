"""Heads: classifiers, dense predictors and detectors on features, frozen or not."""
