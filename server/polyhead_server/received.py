"""Request messages from bytes, without an exception: what is wrong with them becomes data.

gRPC answers INTERNAL where a message cannot be decoded. Bytes that are not UTF-8 are the caller's
mistake, though, and one bad item of a stream must not harm the others. So a message that does not
decode is read again with a twin of its type in which every string is bytes; the strings at fault
are named and emptied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from polyhead_server.errors import InvalidRequestError, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor

MessageT = TypeVar("MessageT", bound=Message)

_NOT_UTF8 = "is not valid UTF-8"
_MOST_STEPS = 100_000
"""Parts of a message that are searched for text that is not UTF-8: a tenth of a second of the event
loop. A message of some megabytes may have millions, and comes before its caller is known."""


@dataclass(frozen=True, slots=True)
class Received(Generic[MessageT]):
    """A request message, and what was wrong with its bytes."""

    message: MessageT
    violations: tuple[Violation, ...] = ()
    """The strings that are not UTF-8; they are empty in the message."""
    malformed: bool = False
    """The bytes are no message of this type at all; the message is empty."""
    size: int = 0
    """How many bytes."""

    def sound(self) -> MessageT:
        """The message.

        Raises:
            InvalidRequestError: its bytes were not right.
        """
        if self.violations:
            raise InvalidRequestError(self.violations)
        return self.message


class Decoder(Generic[MessageT]):
    """Decodes messages of one type; never raises.

    Args:
        message_type: the generated class.
    """

    def __init__(self, message_type: type[MessageT]) -> None:
        self._type = message_type
        descriptor = cast("Descriptor", message_type.DESCRIPTOR)
        self._twin = _twin(descriptor)
        self._blobs = frozenset(_blobs(descriptor))

    def __call__(self, data: bytes) -> Received[MessageT]:
        """Decode one message."""
        try:
            return Received(self._type.FromString(data), size=len(data))
        except DecodeError:
            return self._mend(data)

    def _mend(self, data: bytes) -> Received[MessageT]:
        try:
            twin = self._twin.FromString(data)
            paths = list(_blank_bad_text(twin, "", self._blobs, _Steps(_MOST_STEPS)))
            message = self._type.FromString(twin.SerializeToString())
        except DecodeError:
            name = self._type.DESCRIPTOR.full_name
            return self._empty(f"is not a valid {name} in protobuf encoding")
        except _TooManyError:
            return self._empty("holds text that is not valid UTF-8, in too many parts to say where")
        return Received(message, tuple(Violation(path, _NOT_UTF8) for path in paths))

    def _empty(self, problem: str) -> Received[MessageT]:
        return Received(self._type(), (Violation("message", problem),), malformed=True)


class _TooManyError(Exception):
    """A message has more parts than are looked at one by one."""


class _Steps:
    """Counts the parts of a message that are looked at.

    Args:
        most: how many may be.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, count: int) -> None:
        """Look at so many more.

        Raises:
            _TooManyError: they are too many.
        """
        self._left -= count
        if self._left < 0:
            raise _TooManyError


def _blank_bad_text(
    message: Message, prefix: str, blobs: frozenset[str], steps: _Steps
) -> Iterator[str]:
    """Empty every value that should be UTF-8 and is not, and give its path."""
    for field, value in message.ListFields():
        steps.take(len(value) if field.is_repeated else 1)
        path = prefix + field.name
        if field.message_type is not None:
            parts = enumerate(value) if field.is_repeated else [(None, value)]
            for index, part in parts:
                yield from _blank_bad_text(part, f"{_at(path, index)}.", blobs, steps)
        elif field.type == field.TYPE_BYTES and field.full_name not in blobs:
            yield from _blank_bad_values(message, field.name, value, path)


def _blank_bad_values(message: Message, name: str, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, bytes):
        if not _is_utf8(value):
            setattr(message, name, b"")
            yield path
        return
    for index, part in enumerate(value):
        if not _is_utf8(part):
            value[index] = b""
            yield _at(path, index)


def _at(path: str, index: int | None) -> str:
    return path if index is None else f"{path}[{index}]"


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _twin(descriptor: Descriptor) -> type[Message]:
    """The same message type with bytes for strings and numbers for enums."""
    file = FileDescriptorProto(name="twin.proto", package=descriptor.file.package, syntax="proto3")
    parts = (_outermost(part) for part in _reachable(descriptor, {}).values())
    for part in {part.full_name: part for part in parts}.values():
        twin = file.message_type.add()
        part.CopyToProto(twin)
        _loosen_all(twin)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name))


def _reachable(descriptor: Descriptor, seen: dict[str, Descriptor]) -> dict[str, Descriptor]:
    if descriptor.full_name not in seen:
        seen[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                _reachable(field.message_type, seen)
    return seen


def _blobs(descriptor: Descriptor) -> Iterator[str]:
    """Full names of the fields that are bytes by right."""
    for part in _reachable(descriptor, {}).values():
        yield from (field.full_name for field in part.fields if field.type == field.TYPE_BYTES)


def _outermost(descriptor: Descriptor) -> Descriptor:
    outer = descriptor.containing_type
    return descriptor if outer is None else _outermost(outer)


def _loosen_all(message: DescriptorProto) -> None:
    """Loosen a message and those within it; maps become lists of entries, which read the same."""
    message.options.ClearField("map_entry")
    for field in message.field:
        _loosen(field)
    for inner in message.nested_type:
        _loosen_all(inner)


def _loosen(field: FieldDescriptorProto) -> None:
    if field.type == FieldDescriptorProto.TYPE_STRING:
        field.type = FieldDescriptorProto.TYPE_BYTES
    elif field.type == FieldDescriptorProto.TYPE_ENUM:
        field.type = FieldDescriptorProto.TYPE_INT32
        field.ClearField("type_name")
