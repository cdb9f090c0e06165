"""Datasets on disk: downloads, archives, split lists, batches, checks, simulated copies."""
