"""Recipes, and the heads they need, shared by tasks."""
