"""Checkpoint files: found, read safely, identified, and loaded whole or refused."""
