"""What killed processes leave behind: files half written, and locks that nobody holds."""

from __future__ import annotations

from skybench.core import folders
from skybench.core.atomic import remove_leftovers
from skybench.core.lock import remove_dead_locks
from skybench.plan.request import Request


def remove_litter(request: Request) -> None:
    """Remove what dead processes of this machine left in the results and the cache."""
    results = request.results or folders.results()
    remove_leftovers(results)
    remove_dead_locks(results)
    remove_leftovers(folders.cache())
