"""JSON Schemas of messages and enums, as protobuf's JSON mapping has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from tools.describe import comments
from tools.describe.comments import Comments

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import (
        DescriptorProto,
        EnumDescriptorProto,
        FileDescriptorSet,
    )

Schema = dict[str, Any]

_FIELD = FieldDescriptorProto
_UINT32 = {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1}
_SCALARS: dict[int, Schema] = {
    _FIELD.TYPE_BOOL: {"type": "boolean"},
    _FIELD.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _FIELD.TYPE_FLOAT: {"type": "number", "format": "float"},
    _FIELD.TYPE_INT32: {"type": "integer", "format": "int32"},
    _FIELD.TYPE_STRING: {"type": "string"},
    _FIELD.TYPE_UINT32: _UINT32,
}
_ANY: Schema = {
    "type": "object",
    "description": "A message of the type that @type names, such as "
    "type.googleapis.com/google.rpc.BadRequest, with its fields beside it.",
    "properties": {"@type": {"type": "string"}},
    "required": ["@type"],
}
_WELL_KNOWN = {".google.protobuf.Any": _ANY}


class Schemas:
    """Makes schemas and remembers those that were asked for.

    Args:
        files: the protos, with comments.
    """

    def __init__(self, files: FileDescriptorSet) -> None:
        self._messages: dict[str, tuple[DescriptorProto, Comments, int]] = {}
        self._enums: dict[str, tuple[EnumDescriptorProto, Comments, int]] = {}
        for file in files.file:
            said = Comments(file)
            for index, message in enumerate(file.message_type):
                self._messages[f".{file.package}.{message.name}"] = (message, said, index)
            for index, enum in enumerate(file.enum_type):
                self._enums[f".{file.package}.{enum.name}"] = (enum, said, index)
        self.made: dict[str, Schema] = {}

    def reference(self, type_name: str, *, sent: bool) -> Schema:
        """A reference to the schema of a message or enum, which is made where it is not there yet.

        Args:
            type_name: full name, with a dot before it.
            sent: it is in an answer, where every plain field is given.
        """
        if type_name in _WELL_KNOWN:
            return _WELL_KNOWN[type_name]
        name = type_name.rpartition(".")[2]
        if name not in self.made:
            self.made[name] = {}
            is_enum = type_name in self._enums
            made = self._enum(type_name) if is_enum else self._message(type_name, sent=sent)
            self.made[name] = made
        return {"$ref": f"#/components/schemas/{name}"}

    def query_parameters(self, type_name: str) -> list[Schema]:
        """The fields of a message as parameters of a query: of one that has no nested messages."""
        message, said, index = self._messages[type_name]
        return [
            {
                "name": field.json_name,
                "in": "query",
                "description": said.at(comments.MESSAGE, index, comments.FIELD, number),
                "schema": self._field(field, "", sent=False),
            }
            for number, field in enumerate(message.field)
        ]

    def _enum(self, type_name: str) -> Schema:
        enum, said, index = self._enums[type_name]
        texts = {
            value.name: said.at(comments.ENUM, index, comments.VALUE, number)
            for number, value in enumerate(enum.value)
        }
        lines = [f"- `{name}`: {text}" for name, text in texts.items()]
        text = said.at(comments.ENUM, index)
        return {
            "type": "string",
            "description": "\n".join([text, "", *lines]).strip(),
            "enum": list(texts),
        }

    def _message(self, type_name: str, *, sent: bool) -> Schema:
        message, said, index = self._messages[type_name]
        properties: dict[str, Schema] = {}
        required = []
        for number, field in enumerate(message.field):
            text = said.at(comments.MESSAGE, index, comments.FIELD, number)
            properties[field.json_name] = self._field(field, text, sent=sent)
            if _always_sent(field) if sent else comments.is_required(text):
                required.append(field.json_name)
        schema: Schema = {
            "type": "object",
            "description": said.at(comments.MESSAGE, index),
            "properties": properties,
        }
        if required:
            schema["required"] = required
        return schema | _choice(message)

    def _field(self, field: FieldDescriptorProto, text: str, *, sent: bool) -> Schema:
        one = self._scalar_or_reference(field, sent=sent)
        if field.label == _FIELD.LABEL_REPEATED:
            one = {"type": "array", "items": one}
        return one | comments.bounds(text, one) | ({"description": text} if text else {})

    def _scalar_or_reference(self, field: FieldDescriptorProto, *, sent: bool) -> Schema:
        if field.type in {_FIELD.TYPE_MESSAGE, _FIELD.TYPE_ENUM}:
            return dict(self.reference(field.type_name, sent=sent))
        return dict(_SCALARS[field.type])


def _always_sent(field: FieldDescriptorProto) -> bool:
    """The gateway prints plain fields and lists even where they are zero or empty."""
    if field.HasField("oneof_index"):
        return False
    return field.label == _FIELD.LABEL_REPEATED or field.type != _FIELD.TYPE_MESSAGE


def _choice(message: DescriptorProto) -> Schema:
    """Exactly one of the fields of a oneof: ours are all so."""
    if not message.oneof_decl:
        return {}
    members = [field.json_name for field in message.field if field.HasField("oneof_index")]
    return {"oneOf": [{"required": [name]} for name in members]}
