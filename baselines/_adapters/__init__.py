"""Adapters: each turns a batch in sensor units into a model's features."""
