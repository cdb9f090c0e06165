"""Readers of the official layouts."""
