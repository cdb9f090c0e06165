"""Augmentation of training images, and test-time augmentation."""
