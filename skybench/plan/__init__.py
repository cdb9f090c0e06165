"""Requests, the planner that makes cells of them, and forecasts of memory and time."""
