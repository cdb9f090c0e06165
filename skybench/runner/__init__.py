"""From a cell to its record."""
