"""Checkpoints: finding, downloading, safe reading, identification, and loading into models."""
