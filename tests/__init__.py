"""The tests mirror the tree: without this file tests/skybench would be taken for skybench."""
