"""Settings and key names that models of one family share; imports no torch."""
