"""Keeps decoded images for their next tiles, each decoded by one thread alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


class WholeImages:
    """The images that were used last: those that fit a number of bytes, and a few in any case."""

    def __init__(self, most: float, few: int) -> None:
        """most: bytes; few: images that are kept whatever their size, as those of one sample."""
        self.most, self.few = most, few
        self.forget()

    def forget(self) -> None:
        """Begin anew: in a process that was forked, other threads' work never comes to its end."""
        self.images: OrderedDict[Hashable, Future[Array]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Hashable, decode: Callable[[], Array]) -> Array:
        """Return the image of a key, decoded if it is not kept; errors are not kept."""
        with self.lock:
            if (known := self.images.get(key)) is not None:
                self.images.move_to_end(key)
            else:
                mine = self.images[key] = Future[Array]()
        if known is not None:
            return known.result()  # another thread may be decoding it
        try:
            pixels = decode()
        except BaseException as error:
            with self.lock:
                self.images.pop(key, None)
            mine.set_exception(error)
            raise
        mine.set_result(pixels)
        self._shrink()
        return pixels

    def _shrink(self) -> None:
        with self.lock:
            sizes = {k: f.result().nbytes for k, f in self.images.items() if f.done()}
            total = sum(sizes.values())
            for key, size in list(sizes.items()):
                if total <= self.most or len(self.images) <= self.few:
                    break
                del self.images[key]
                total -= size
