"""Statistics over records: bootstrap, paired tests, ranks, label-fraction curves."""
