"""Results that are kept for documents that come again: bounded, exact, without their text.

What a document's results depend on is what the encoder reads of it and which bundle reads it, and
that is the key: sub-words, letter-case shapes and the rows that count, no text. Words and offsets
are found anew for each request, so they are always those of its own text.
"""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import Gauge

from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_server.quick_metrics import Counts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from prometheus_client import CollectorRegistry

    from polyhead_server.encoding import Document
    from polyhead_server.heads import HeadOutput
    from polyhead_server.quick_metrics import Count

    Outputs = Mapping[str, HeadOutput]

Array = TypeVar("Array", bound="NDArray[np.generic]")

_KEY_BYTES = 24
"""Even with 10**12 documents, the chance that any two share a key is below 10**-33."""
_POOL = struct.Struct("<iii")

_ENTRY_BYTES = 640
"""What an entry takes beside its arrays and spans: key, place in the table, dictionary."""
_OUTPUT_BYTES = 80
_ARRAY_BYTES = 136
_SPAN_BYTES = 176


def key_of(document: Document, bundle: str) -> bytes:
    """The key of a document's results.

    Args:
        document: the document, ready for the encoder.
        bundle: identity of the bundle that reads it.
    """
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    digest.update(f"{len(bundle)}:{bundle}".encode())
    for window in document.windows:
        # Lengths first: the parts of two windows must not be taken for each other's.
        digest.update(_POOL.pack(len(window.ids), len(window.first), len(document.windows)))
        digest.update(_POOL.pack(*window.pool, 0))
        for part in (window.ids, window.shapes, window.first):
            digest.update(part.tobytes())
    return digest.digest()


class CacheMetrics:
    """Counts documents by where their results came from, and what the cache holds.

    Args:
        registry: where to register.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Count:
            return Counts(name, text, (), registry).labels()

        self.hits = counter("polyhead_cache_hits_total", "Documents answered from the cache.")
        self.misses = counter("polyhead_cache_misses_total", "Documents not in the cache.")
        self.shared = counter(
            "polyhead_cache_shared_total", "Documents answered by another call's run of the same."
        )
        self.evictions = counter("polyhead_cache_evictions_total", "Documents put out of it.")
        self.entries = Gauge("polyhead_cache_entries", "Documents in the cache.", registry=registry)
        self.bytes = Gauge("polyhead_cache_bytes", "Memory that they take.", registry=registry)


@dataclass(frozen=True, slots=True)
class _Entry:
    outputs: Outputs
    size: int


class Cache:
    """The results of the documents asked for last. Belongs to one event loop.

    Args:
        most_bytes: memory that it may take.
        metrics: is told what it holds.
    """

    def __init__(self, most_bytes: int, metrics: CacheMetrics) -> None:
        self._most = most_bytes
        self._metrics = metrics
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0
        metrics.entries.set_function(lambda: len(self._entries))
        metrics.bytes.set_function(lambda: self._bytes)

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, rather more than less."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes, tasks: Collection[str]) -> Outputs | None:
        """The results of a document, by task; None unless all of the tasks' are there."""
        entry = self._entries.get(key)
        if entry is None or not all(task in entry.outputs for task in tasks):
            return None
        self._entries.move_to_end(key)
        return entry.outputs

    def keep(self, key: bytes, outputs: Outputs) -> Outputs:
        """Keep a document's results beside those of other tasks that are there.

        Returns:
            The same results in memory of their own: they hold no batch's memory.
        """
        own = {task: _own(output) for task, output in outputs.items()}
        there = self._entries.get(key)
        kept = own if there is None else {**there.outputs, **own}
        size = _size(kept)
        if size <= self._most:
            self._forget(key)
            self._entries[key] = _Entry(kept, size)
            self._bytes += size
            self._shrink()
        return own

    def _shrink(self) -> None:
        while self._bytes > self._most:
            self._forget(next(iter(self._entries)))
            self._metrics.evictions.inc()

    def _forget(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        self._bytes -= 0 if entry is None else entry.size


def _own(output: HeadOutput) -> HeadOutput:
    if isinstance(output, ClassificationOutput):
        return ClassificationOutput(output.index, _copy(output.scores))
    if isinstance(output, TaggingOutput):
        return TaggingOutput(_copy(output.tags), _copy(output.scores))
    return output


def _copy(array: Array) -> Array:
    """A copy that nobody can write to, since many answers share it."""
    own = array.copy()
    own.flags.writeable = False
    return own


def _size(outputs: Outputs) -> int:
    return _ENTRY_BYTES + sum(_OUTPUT_BYTES + _output_size(one) for one in outputs.values())


def _output_size(output: HeadOutput) -> int:
    if isinstance(output, SpansOutput):
        return _SPAN_BYTES * len(output.spans)
    if isinstance(output, TaggingOutput):
        return 2 * _ARRAY_BYTES + output.tags.nbytes + output.scores.nbytes
    return _ARRAY_BYTES + output.scores.nbytes
