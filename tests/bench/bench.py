"""What all parts share: texts, processes that are started when first needed, and patience."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from polyhead_server.bundle import open_bundle
from polyhead_server.model import load_encoder
from tests.bench import closed, h2load
from tests.bench.calls import requests
from tests.bench.raw_engine import raw_engine
from tests.bench.servers import address, echoing, serving
from tests.bench.texts import exact, news

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from polyhead_server.bundle import Bundle
    from tests.bench.calls import Form
    from tests.bench.processes import Started
    from tests.bench.raw_engine import RawEngine
    from tests.bench.texts import Corpus

LENGTHS = ("8", "16", "32", "64", "128")
"""Kinds of texts that are all of so many tokens."""
MIX = "mix"
"""Texts as long as news texts are."""
EQUAL = "equal"
"""Texts that all have the mean length of those."""
_TEXTS = 512


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to measure."""

    rounds: int
    seconds: float
    """Of one stretch in one round."""
    starts: int
    """Times that a server is started to see how long it takes."""


@dataclass
class Bench:
    """One run of the bench."""

    path: Path
    """The bundle."""
    stack: ExitStack
    """Ends the processes."""
    patience: Patience
    news_file: Path | None = None
    deadline: float = 0.1
    """Seconds within which answers to open-loop calls are of use."""
    with_h2load: bool = True
    flags: tuple[str, ...] = ()
    """Of every server, beside the defaults."""
    notes: dict[str, str] = field(default_factory=dict)
    """What a reader should know about how figures came about."""

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle that is served."""
        return open_bundle(self.path)

    @property
    def tasks(self) -> list[str]:
        """Names of all of its tasks."""
        return [head.name for head in self.bundle.heads]

    @cached_property
    def corpora(self) -> dict[str, Corpus]:
        """Texts by kind."""
        tokenize = load_encoder(self.bundle).encode
        found = {length: exact(tokenize, int(length), _TEXTS) for length in LENGTHS}
        found[MIX] = news(tokenize, _TEXTS, self.news_file)
        mean = round(sum(found[MIX].tokens) / _TEXTS)
        return found | {EQUAL: exact(tokenize, mean, _TEXTS)}

    @cached_property
    def server(self) -> Started:
        """The server that is measured."""
        return self.serve()

    @cached_property
    def echo(self) -> Started:
        """A bare gRPC server."""
        return self.stack.enter_context(echoing())

    @cached_property
    def raw(self) -> RawEngine:
        """The raw engine."""
        return self.stack.enter_context(raw_engine(self.path, self.corpora))

    def press_raw(self, kind: str) -> dict[str, float]:
        """Keep the raw engine busy with texts of a kind, in the layout that suits them best."""
        name = f"raw/{kind}"
        if name not in self.notes:
            self.notes[name] = self.raw.choose(kind)
            print(f"raw engine, {kind}: {self.notes[name]}", file=sys.stderr, flush=True)
        return self.raw.press(kind, self.patience.seconds)

    def serve(self, *flags: str, bundle: Path | None = None) -> Started:
        """Start another server, which lives as long as the bench."""
        return self.stack.enter_context(serving(bundle or self.path, *self.flags, *flags))

    def press(self, form: Form, kind: str) -> dict[str, float]:
        """Saturate the server with texts of a kind.

        Where texts are all alike, h2load makes the load if it is installed.
        """
        if self.with_h2load and h2load.available() and kind in LENGTHS and not form.stream:
            request = requests(self.corpora[kind], form, self.tasks, address(self.server))[0]
            return h2load.press(self.server, request, form, self.patience.seconds).figures()
        return self.press_with(self.server, form, kind, self.tasks)

    def press_with(
        self, server: Started, form: Form, kind: str, tasks: Sequence[str]
    ) -> dict[str, float]:
        """Saturate a server from this process."""
        where = address(server)
        prepared = requests(self.corpora[kind], form, tasks, where)
        return closed.press(server, where, prepared, form, self.patience.seconds).figures()
