"""Feature extraction: the cache, streaming, and online features for fine-tuning."""
