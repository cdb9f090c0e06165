"""Writers of the simulated copies."""
