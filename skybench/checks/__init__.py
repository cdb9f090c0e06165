"""Checks of metrics, features and images; the warning flags of a record."""
