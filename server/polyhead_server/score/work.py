"""Scores one fragment: the whole of what a process of a run does, again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from threadpoolctl import threadpool_limits

from polyhead_server.errors import NoWordsError
from polyhead_server.model import Model
from polyhead_server.offline import annotate_documents
from polyhead_server.score.errors import ScoreError
from polyhead_server.score.journal import Done, Journal
from polyhead_server.score.parts import error_line, part_writer
from polyhead_server.score.results import row_results
from polyhead_server.score.rows import BadRow, Row, read_chunks
from polyhead_server.self_check import check_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.encoding import Document
    from polyhead_server.score.fragments import Fragment
    from polyhead_server.score.order import Order
    from polyhead_server.score.rows import Chunk

_Read = tuple[Row, "Document"]


class Scorer:
    """A bundle in this process, and the order to score with it.

    Args:
        order: what is asked for.
        threads: of the engine.
        node: name of where this is, told in the journal.

    Raises:
        BundleError: the bundle is damaged, or not signed as asked for.
        StartError: the engine does not compute aright here.
        ScoreError: the bundle here is another one.
    """

    def __init__(self, order: Order, threads: int, node: str = "") -> None:
        self._order = order
        self._node = node
        self._journal = Journal(order.output)
        self._model = Model.load(order.bundle, threads=threads, key=order.key)
        try:
            self._prepare()
        except BaseException:
            self._model.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._model.close()

    def score(self, fragment: Fragment) -> Done:
        """Score a fragment, unless that is done already.

        Raises:
            OSError: a file cannot be read or written.
            ScoreError: the engine fails on whatever it is given.
        """
        done = self._journal.finished(fragment)
        return done or self._score(fragment)

    def _prepare(self) -> None:
        bundle = self._model.bundle
        if bundle.identity != self._order.identity:
            raise ScoreError(
                f"{bundle.path} is another bundle here than where the run began: "
                f"its digest is {bundle.identity[:12]}, not {self._order.identity[:12]}"
            )
        threadpool_limits(1, user_api="blas")  # its idle threads would slow the engine's
        check_engine(self._model)
        known = {spec.name: spec for spec in bundle.heads}
        self._specs = [known[task] for task in self._order.tasks]

    def _score(self, fragment: Fragment) -> Done:
        start = time.perf_counter()
        scored = errors = tokens = 0
        column = self._order.fields.column
        with self._journal.places(fragment) as (part, error_file):
            with (
                part_writer(fragment, part, column, self._specs) as write,
                error_file.open("wb") as side,
            ):
                for chunk in read_chunks(fragment, self._order.fields):
                    good, results = self._annotate(chunk)
                    if good:
                        write(chunk, [row for row, _ in good], results)
                    chunk.bad.sort(key=lambda bad: bad.number)
                    side.writelines(error_line(fragment.path, bad) for bad in chunk.bad)
                    scored += len(good)
                    errors += sum(bad.rows for bad in chunk.bad)
                    tokens += sum(document.tokens for _, document in good)
            done = Done(
                *(fragment.name, scored, errors, tokens),
                *(time.perf_counter() - start, part.stat().st_size, self._node),
            )
            self._journal.commit(fragment, part, error_file, done)
        return done

    def _annotate(self, chunk: Chunk) -> tuple[list[_Read], list[dict[str, Any]]]:
        """The rows that could be annotated, and their results; the others become bad."""
        read: list[_Read] = []
        for row in chunk.rows:
            try:
                read.append((row, self._model.tokenize(row.source)))
            except NoWordsError:
                chunk.bad.append(_bad(row, "has no word of visible characters"))
        results = self._results([document for _, document in read])
        kept = [n for n, result in enumerate(results) if result is not None]
        if read and not kept:
            raise ScoreError("the engine fails on every row")
        for n in set(range(len(read))).difference(kept):
            chunk.bad.append(_bad(read[n][0], "the engine fails on it"))
        return [read[n] for n in kept], [result for result in results if result is not None]

    def _results(self, documents: Sequence[Document]) -> list[dict[str, Any] | None]:
        """The results of documents; None for those on which the engine fails even alone."""
        if not documents:
            return []
        order = self._order
        try:
            found = annotate_documents(self._model, documents, order.tasks, order.batch_tokens)
        except RuntimeError:
            return self._results_apart(documents)
        pairs = zip(documents, found, strict=True)
        return [row_results(document, outputs, self._specs) for document, outputs in pairs]

    def _results_apart(self, documents: Sequence[Document]) -> list[dict[str, Any] | None]:
        if len(documents) == 1:
            return [None]
        middle = len(documents) // 2
        return [*self._results(documents[:middle]), *self._results(documents[middle:])]


def _bad(row: Row, reason: str) -> BadRow:
    return BadRow(row.number, reason, row.raw)
