"""A spaCy component that asks a polyhead server; needs polyhead[spacy].

    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("polyhead", config={"target": "localhost:50051"})
    doc = nlp("Apple opened a store in Berlin, and the fans loved it.")

What it fills, by the kind of each of the server's heads:

doc.ents            The spans of the head named by `entities`.
token.pos_          The tags of the head named by `pos`; `SPACE` for whitespace. A head with other
                    labels than Universal Dependencies' fills `token.tag_` instead.
doc.cats            The scores of every classification, as `TASK/LABEL`.
doc.spans[TASK]     The spans of every other head, with their scores in `attrs["scores"]`.
doc.user_data       Under `polyhead.TASK`, a tag for each token, of every other tagging.
"""

# No `from __future__ import annotations`: spaCy reads the types of the factory's arguments.

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spacy.language import Language
from spacy.parts_of_speech import IDS
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import filter_spans, minibatch, raise_error

from polyhead import (
    Annotation,
    Bundle,
    Classification,
    Client,
    Document,
    HttpClient,
    Outcome,
    PolyheadError,
    Spans,
    Tagging,
    Words,
)
from polyhead._words import is_visible

__all__ = ["PolyheadComponent", "Settings", "make_component"]

_WITHOUT_ANSWER = Outcome(0, "")


@dataclass(frozen=True, slots=True)
class Settings:
    """The component's config.

    Attributes:
        target: The server, as `polyhead.Client` takes it.
        url: A gateway to call over HTTP instead, as `polyhead.HttpClient` takes it.
        tasks: The heads to ask; None: all.
        entities: The head that fills `doc.ents`; None: none does.
        pos: The head that fills `token.pos_`; None: none does.
        send: `"tokens"`: spaCy's tokens are the words, so that each has one tag and every span is
            made of tokens. `"text"`: the server splits the text itself, spans are aligned by
            `alignment_mode`, and a token has the tag of the word that covers most of it.
        alignment_mode: What becomes of a span that does not end where a token does:
            `"expand"`, `"contract"` or `"strict"`, as of `Doc.char_span`.
        timeout: Seconds for a call, retries included.
    """

    target: str = "localhost:50051"
    url: str | None = None
    tasks: tuple[str, ...] | None = None
    entities: str | None = "entities"
    pos: str | None = "pos"
    send: str = "tokens"
    alignment_mode: str = "expand"
    timeout: float = 30.0

    def connect(self) -> Client | HttpClient:
        """Make a client; raises ValueError where the target cannot be understood."""
        if self.url is not None:
            return HttpClient(self.url, timeout=self.timeout)
        return Client(self.target, timeout=self.timeout)


class PolyheadComponent:
    """Annotates docs by calling a server. Has no weights, and nothing to save but its config.

    Attributes:
        name: Its name in the pipeline.
        settings: Its config.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self._client: Client | HttpClient | None = None
        self._owner = 0  # the process that made the client
        self._bundle: Bundle | None = None
        self._error_handler: Any = raise_error

    @property
    def client(self) -> Client | HttpClient:
        """What it calls with: made at the first call, or set, for tokens and TLS."""
        if self._client is None or self._owner != os.getpid():  # connections survive no fork
            self.client = self.settings.connect()
        if self._client is None:
            raise TypeError("there is no client")
        return self._client

    @client.setter
    def client(self, client: Client | HttpClient) -> None:
        self._client, self._owner, self._bundle = client, os.getpid(), None

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one doc.

        Raises:
            PolyheadError: There is no answer.
        """
        document = self._document(doc)
        annotation = self.client.annotate(document, self._asked()) if document else None
        self._fill(doc, annotation)
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 256) -> Iterator[Doc]:
        """Annotate docs in batches, in order.

        What fails is given to the error handler, a doc or a whole batch at a time; where that
        does not raise, the docs are left out, as spaCy's own components do.
        """
        for docs in minibatch(stream, size=batch_size):
            yield from self._annotate(list(docs))

    def set_error_handler(self, error_handler: Any) -> None:
        """Set what is called with name, component, docs and error."""
        self._error_handler = error_handler

    def get_error_handler(self) -> Any:
        """Give what is called with name, component, docs and error."""
        return self._error_handler

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connection behind."""
        return self.__dict__ | {"_client": None, "_bundle": None}

    def _annotate(self, docs: list[Doc]) -> Iterator[Doc]:
        documents = [self._document(doc) for doc in docs]
        given = [document for document in documents if document]
        try:
            outcomes = iter(self._ask(given))
        except PolyheadError as error:
            self._error_handler(self.name, self, docs, error)
            return
        for doc, document in zip(docs, documents, strict=True):
            outcome = next(outcomes) if document else _WITHOUT_ANSWER
            if outcome.error is not None:
                self._error_handler(self.name, self, [doc], outcome.error)
                continue
            self._fill(doc, outcome.annotation)
            yield doc

    def _ask(self, documents: list[Document]) -> list[Outcome]:
        if not documents:
            return []
        return list(self.client.annotate_stream(documents, self._asked(), ordered=True))

    def _known(self) -> Bundle:
        """Ask once what the server can do, and check that it can do what is wanted."""
        if self._bundle is None:
            bundle, settings = self.client.list_tasks(), self.settings
            names = [task.name for task in bundle.tasks]
            usual = (Settings().entities, Settings().pos)  # which a bundle may lack
            named = [name for name in (settings.entities, settings.pos) if name not in usual]
            for name in [*named, *(settings.tasks or ())]:
                if name is not None and name not in names:
                    raise ValueError(f"no such task: {name!r}; there are: {', '.join(names)}")
            self._bundle = bundle
        return self._bundle

    def _asked(self) -> list[str]:
        tasks = [task.name for task in self._known().tasks]
        return tasks if self.settings.tasks is None else list(self.settings.tasks)

    def _document(self, doc: Doc) -> Document | None:
        """Give what to send; None where there is nothing to annotate."""
        if self.settings.send == "text":
            return doc.text if is_visible(doc.text) else None
        words = [token.text for token in doc if is_visible(token.text)]
        return Words(words) if words else None

    def _fill(self, doc: Doc, annotation: Annotation | None) -> None:
        if self.settings.pos is not None:
            for token in doc:
                if not is_visible(token.text):
                    token.pos_ = "SPACE" if token.is_space else "X"
        if annotation is None:
            return
        layout: _Layout = _Text(doc) if self.settings.send == "text" else _Tokens(doc)
        cats: dict[str, float] = {}
        for task, result in annotation.items():
            match result:
                case Classification():
                    cats |= {f"{task}/{entry.label}": entry.score for entry in result.scores}
                case Spans():
                    self._fill_spans(doc, task, result, layout)
                case Tagging():
                    self._fill_tags(doc, task, layout.tags(result))
        doc.cats = {**doc.cats, **cats}

    def _fill_spans(self, doc: Doc, task: str, result: Spans, layout: "_Layout") -> None:
        found: dict[Span, float] = {}
        for span in result:
            start, end = layout.place(span.start, span.end)
            aligned = doc.char_span(
                start, end, label=span.label, alignment_mode=self.settings.alignment_mode
            )
            if aligned is not None:
                found.setdefault(aligned, span.score)
        spans = filter_spans(found)
        if task == self.settings.entities:
            doc.ents = spans
        else:
            scores = {"scores": [found[span] for span in spans]}
            doc.spans[task] = SpanGroup(doc, name=task, spans=spans, attrs=scores)

    def _fill_tags(self, doc: Doc, task: str, tags: list[str]) -> None:
        if task != self.settings.pos:
            doc.user_data[f"polyhead.{task}"] = tags
            return
        universal = IDS.keys() >= set(self._known().task(task).labels)
        for token, tag in zip(doc, tags, strict=True):
            if tag and universal:
                token.pos_ = tag
            elif tag:
                token.tag_ = tag


class _Tokens:
    """Answers about tokens that were sent as words, joined by one space each."""

    def __init__(self, doc: Doc) -> None:
        self._tokens = [token for token in doc if is_visible(token.text)]
        self._length = len(doc)
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        at = 0
        for token in self._tokens:
            self._starts[at] = token.idx
            at += len(token.text)
            self._ends[at] = token.idx + len(token.text)
            at += 1

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Give where a span is in the doc's text."""
        return self._starts[start], self._ends[end]

    def tags(self, result: Tagging) -> list[str]:
        """Give a tag for each of the doc's tokens; empty for whitespace."""
        found = [""] * self._length
        for token, word in zip(self._tokens, result, strict=True):
            found[token.i] = word.tag
        return found


class _Text:
    """Answers about the text, which the server split into words of its own."""

    def __init__(self, doc: Doc) -> None:
        self._doc = doc

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Give where a span is in the doc's text."""
        return start, end

    def tags(self, result: Tagging) -> list[str]:
        """Give each of the doc's tokens the tag of the word that covers most of it."""
        words = result.words
        starts = [word.start for word in words]
        found = []
        for token in self._doc:
            first, end = token.idx, token.idx + len(token.text)
            best, tag = 0, ""
            for word in words[max(0, bisect_right(starts, first) - 1) :]:
                if word.start >= end:
                    break
                covered = min(end, word.end) - max(first, word.start)
                if covered > best:
                    best, tag = covered, word.tag
            found.append(tag)
        return found


_Layout = _Tokens | _Text


def make_component(  # noqa: PLR0913, PLR0917 - spaCy reads the config from them
    nlp: Language,  # noqa: ARG001 - spaCy gives it
    name: str,
    target: str,
    url: str | None,
    tasks: list[str] | None,
    entities: str | None,
    pos: str | None,
    send: Literal["tokens", "text"],
    alignment_mode: Literal["strict", "contract", "expand"],
    timeout: float,
) -> PolyheadComponent:
    """Make the component from its config; arguments are those of `Settings`."""
    asked = None if tasks is None else tuple(tasks)
    settings = Settings(target, url, asked, entities, pos, send, alignment_mode, timeout)
    return PolyheadComponent(name, settings)


Language.factory(
    "polyhead",
    default_config=asdict(Settings()),
    assigns=["doc.ents", "token.ent_iob", "token.ent_type", "token.pos", "doc.cats", "doc.spans"],
    func=make_component,
)
