"""From a folder to batches: split lists, downloads, archives, folder checks, the simulation."""
