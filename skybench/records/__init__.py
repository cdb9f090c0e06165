"""JSON records of results, kept predictions, and published scores."""
