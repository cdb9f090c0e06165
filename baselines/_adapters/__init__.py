"""Adapters: from a batch in sensor units to a model's features."""
