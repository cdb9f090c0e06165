"""Heads on frozen features, one module a protocol."""
