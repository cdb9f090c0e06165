"""Heads, metrics and generic recipes that several tasks share."""
