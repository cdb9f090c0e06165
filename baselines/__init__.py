"""Model plugins; imported as skybench.baselines."""

if __name__ == "baselines":  # found through the working folder, not through the install
    raise ImportError("baselines/ is imported as skybench.baselines; run 'pip install -e .' first")
