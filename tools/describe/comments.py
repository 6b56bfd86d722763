"""What comments of the protos say, as text and as the bounds that they state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

MESSAGE, ENUM, SERVICE = 4, 5, 6
"""Numbers of the fields of FileDescriptorProto that hold these, as paths of comments use them."""
FIELD, ONEOF, VALUE, METHOD = 2, 8, 2, 2
"""The same within messages, enums and services."""

_AT_LEAST = re.compile(r"at least (\d+)")
_AT_MOST_CHARS = re.compile(r"at most (\d+) characters")
_RANGE = re.compile(r"from (\d+) to (\d+)")
_REQUIRED = re.compile(r"at least 1|must be given")


class Comments:
    """The comments of one file.

    Args:
        file: the file, with its source information.
    """

    def __init__(self, file: FileDescriptorProto) -> None:
        self._by_path = {
            tuple(place.path): _unwrapped(place.leading_comments)
            for place in file.source_code_info.location
            if place.leading_comments
        }

    def at(self, *path: int) -> str:
        """The comment on what is at a path; empty where there is none."""
        return self._by_path.get(path, "")


def first_sentence(text: str) -> str:
    """The first sentence, without its full stop."""
    return re.split(r"\.(?:\s|$)", text, maxsplit=1)[0].replace("\n", " ")


def is_required(text: str) -> bool:
    """Whether the comment on a request's field says that it must be there."""
    return _REQUIRED.search(text) is not None


def bounds(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Bounds that the comment states, in the words of JSON Schema for a schema of that type."""
    kind = schema.get("type")
    if kind == "array" and (least := _AT_LEAST.search(text)):
        return {"minItems": int(least[1])}
    if kind == "string" and (most := _AT_MOST_CHARS.search(text)):
        return {"maxLength": int(most[1])}
    if kind == "number" and (both := _RANGE.search(text)):
        return {"minimum": int(both[1]), "maximum": int(both[2])}
    if kind == "integer" and (least := _AT_LEAST.search(text)):
        return {"minimum": int(least[1])}
    return {}


def _unwrapped(text: str) -> str:
    """Lines of a paragraph joined; an empty line stays."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
