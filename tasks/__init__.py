"""Task plugins; imported as skybench.tasks."""

if __name__ == "tasks":  # found through the working directory, not through the install
    raise ImportError("tasks/ is imported as skybench.tasks; run 'pip install -e .' first")
