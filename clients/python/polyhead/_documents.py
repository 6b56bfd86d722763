"""Documents to their wire form, and what the client itself refuses."""

from __future__ import annotations

from polyhead._errors import InvalidArgumentError, Violation
from polyhead._words import Document, Words
from polyhead.v1 import document_pb2


def to_wire(document: Document, field: str) -> document_pb2.Document:
    """Convert one document.

    Args:
        document: The document.
        field: Its path in the request, to be named in errors.

    Raises:
        InvalidArgumentError: It is neither text nor words, or holds a lone surrogate, which no
            UTF-8 can carry.
    """
    if isinstance(document, str):
        check_text(document, f"{field}.text" if field else "text")
        return document_pb2.Document(text=document)
    if isinstance(document, Words):
        for index, word in enumerate(document.words):
            path = f"words.words[{index}]"
            check_text(word, f"{field}.{path}" if field else path)
        return document_pb2.Document(words=document_pb2.WordList(words=document.words))
    raise refused(field or "document", f"must be a str or Words, not {type(document).__name__}")


def refused(field: str, description: str, request_id: str = "") -> InvalidArgumentError:
    """Build the error for a field that the client itself refuses."""
    return InvalidArgumentError(
        f"{field}: {description}",
        request_id=request_id,
        violations=(Violation(field, description),),
    )


def size(document: document_pb2.Document) -> int:
    """Count the code points that a document takes of a request's limit."""
    if document.HasField("text"):
        return len(document.text)
    words = document.words.words
    return sum(map(len, words)) + max(0, len(words) - 1)


def check_text(text: object, field: str) -> None:
    """Refuse what UTF-8 cannot carry; raises InvalidArgumentError that names the field."""
    if not isinstance(text, str):
        raise refused(field, f"must be a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise refused(field, f"holds a lone surrogate at code point {error.start}") from None
