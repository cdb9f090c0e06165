"""Dataset plugins; imported as skybench.datasets."""

if __name__ == "datasets":  # found through the working directory, not through the install
    raise ImportError("datasets/ is imported as skybench.datasets; run 'pip install -e .' first")
