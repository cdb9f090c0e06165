"""The training loop: steps, schedules, checkpoints, logs, and distributed training."""
