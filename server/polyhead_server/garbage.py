"""When Python looks for garbage, and what it need not look at.

All that a bundle consists of lives as long as it serves. A full collection that visits it stops the
event loop for 50 to 80 ms on a small machine, and calls pile up meanwhile.
"""

from __future__ import annotations

import ctypes
import gc

_THRESHOLDS = (2_000, 20, 20)
"""Objects, and collections of younger ones, that lead to a collection. One of so many young objects
takes a third of a millisecond; calls leave few cycles behind, so there is no hurry."""


def seldom_collect() -> None:
    """Look for garbage less often than Python does by itself."""
    gc.set_threshold(*_THRESHOLDS)


def return_memory() -> None:
    """Give what a closed bundle took back to the system, where it can be asked to take it.

    What is in use now is not visited by collections until this is called again.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    trim()


def trim() -> None:
    """Give memory that is free back to the system, where the C library can be asked to."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
