"""Protocols of tasks and of records: which one fine-tunes, which names are known."""

from __future__ import annotations

from collections.abc import Iterable

from skybench.core import Protocol, Record, Task, UsageError, registry
from skybench.core.protocol import as_protocol


def finetuning_protocol(task: Task) -> Protocol | None:
    """Return the first protocol of a task that trains the backbone, None where none does."""
    protocols = map(task.protocol, task.protocols)
    return next((p for p in protocols if p.trains_backbone), None)


def protocol_of_record(record: Record) -> Protocol:
    """Return the protocol under which a record was measured.

    Where the task's plugin or the protocol is gone, only the name tells whether it fine-tunes.
    """
    name = str(record.recipe["protocol"])
    try:
        return registry.task(record.task).protocol(name)
    except UsageError:
        return as_protocol(name, "", "pooled")


def protocol_names(tasks: Iterable[Task]) -> list[str]:
    """Return the names of all protocols of some tasks, each once, in the tasks' order."""
    return list(dict.fromkeys(name for task in tasks for name in task.protocols))


def every_task() -> list[Task]:
    """Return all tasks that can be used, those of other packages too."""
    return [registry.task(name) for name in registry.names("tasks")]
