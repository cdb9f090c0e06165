"""From a request to a list of cells; forecasts of memory and time."""
