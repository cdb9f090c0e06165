"""Adapters and metrics against the authors' own code."""
