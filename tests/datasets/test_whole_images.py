"""Decoded images that are kept; see datasets._readers.whole_images."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

WholeImages = importlib.import_module("skybench.datasets._readers.whole_images").WholeImages


class Decoder:
    """Makes images of 100 bytes; counts how often."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, kept: Any, key: int, size: int = 100) -> NDArray[np.uint8]:
        def decode() -> NDArray[np.uint8]:
            self.calls.append(key)
            return np.full(size, key, np.uint8)

        image: NDArray[np.uint8] = kept.get(key, decode)
        assert (image == key).all()
        return image


def test_the_images_used_last_stay_within_the_bytes() -> None:
    kept, decode = WholeImages(350, few=1), Decoder()
    for key in (1, 2, 3, 1, 4, 3, 1):  # 4 replaces 2
        decode(kept, key)
    assert decode.calls == [1, 2, 3, 4]
    decode(kept, 2)
    assert decode.calls == [1, 2, 3, 4, 2]


def test_a_few_stay_whatever_their_size() -> None:
    kept, decode = WholeImages(10, few=2), Decoder()
    for key in (1, 2, 1, 2, 3, 2, 3, 1):
        decode(kept, key)
    assert decode.calls == [1, 2, 3, 1]


def test_threads_that_want_the_same_image_decode_it_once() -> None:
    kept, calls, start = WholeImages(1e6, few=1), [], threading.Barrier(4)

    def decode() -> NDArray[np.uint8]:
        calls.append(threading.get_ident())
        threading.Event().wait(0.05)  # the others come meanwhile
        return np.zeros(3, np.uint8)

    def ask(_: int) -> NDArray[np.uint8]:
        start.wait()
        image: NDArray[np.uint8] = kept.get("a", decode)
        return image

    with ThreadPoolExecutor(4) as threads:
        images = list(threads.map(ask, range(4)))
    assert len(calls) == 1
    assert all(image is images[0] for image in images)


def test_a_process_that_was_forked_does_not_wait_for_threads_of_the_other() -> None:
    kept, decode = WholeImages(1e6, few=1), Decoder()
    kept.images[1] = Future()  # another thread's, which the fork does not have
    kept.lock.acquire()
    kept.forget()
    decode(kept, 1)
    assert decode.calls == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on Windows")
def test_a_fork_forgets_the_images_that_its_readers_keep() -> None:
    decode = importlib.import_module("skybench.datasets._readers.decode")
    decode._WHOLE.get("of this process", lambda: np.zeros(3, np.uint8))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_kept_images) == 0
    assert _kept_images() > 0


def _kept_images() -> int:
    module = importlib.import_module("skybench.datasets._readers.decode")
    return len(module._WHOLE.images)


def test_an_error_is_not_kept() -> None:
    kept = WholeImages(1e6, few=1)

    def broken() -> NDArray[np.uint8]:
        raise ValueError("damaged")

    for _ in range(2):
        with pytest.raises(ValueError, match="damaged"):
            kept.get("a", broken)
    Decoder()(kept, 5)
