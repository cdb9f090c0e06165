"""Executors: they place bundles of cells, and know nothing of what a cell does."""
