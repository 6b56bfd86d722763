"""What the descriptor set says about the API: services, methods, and where HTTP finds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.api.http_pb2 import HttpRule
    from google.protobuf.descriptor_pb2 import MethodDescriptorProto

DATA = Path(__file__).parent / "data"
DESCRIPTOR_SET = "polyhead.binpb"


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to a method over HTTP."""

    verb: str
    """GET, POST, PUT, PATCH or DELETE."""
    path: str
    """Template, such as /v2/models/{name}."""


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """One method of the API."""

    service: str
    """Full name of its service."""
    name: str
    streams: bool
    """Whether requests or responses are streams."""
    bindings: tuple[Binding, ...]

    @property
    def path(self) -> str:
        """Its path over gRPC."""
        return f"/{self.service}/{self.name}"

    @property
    def transcoded(self) -> bool:
        """Whether the gateway turns its messages into JSON.

        The Open Inference Protocol has JSON of its own, which the servers speak.
        """
        return bool(self.bindings) and self.service.startswith("polyhead.")


@cache
def api_methods() -> tuple[RpcMethod, ...]:
    """Every method of the checked-in descriptor set."""
    files = FileDescriptorSet.FromString((DATA / DESCRIPTOR_SET).read_bytes())
    return tuple(
        RpcMethod(
            service=f"{file.package}.{service.name}",
            name=method.name,
            streams=method.client_streaming or method.server_streaming,
            bindings=tuple(_bindings(method)),
        )
        for file in files.file
        for service in file.service
        for method in service.method
    )


def _bindings(method: MethodDescriptorProto) -> Iterator[Binding]:
    if not method.options.HasExtension(annotations_pb2.http):
        return
    rule: HttpRule = method.options.Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        kind = one.WhichOneof("pattern")
        if kind in {"get", "put", "post", "delete", "patch"}:
            yield Binding(kind.upper(), getattr(one, kind))
