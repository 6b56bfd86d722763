"""The two messages of grpc.health.v1, by hand: each has one field.

Their generated module would need another package, or clash with it in the descriptor pool.
"""

from __future__ import annotations

from polyhead._bundle import Health

ANNOTATION_SERVICE = "polyhead.v1.AnnotationService"

_STRING_FIELD_1 = b"\x0a"
_VARINT_FIELD_1 = b"\x08"
_STATUS = {1: Health.SERVING, 2: Health.NOT_SERVING}


def encode_request(service: str) -> bytes:
    """Encode HealthCheckRequest for a service name below 128 bytes."""
    name = service.encode()
    return _STRING_FIELD_1 + bytes([len(name)]) + name if name else b""


def decode_request(data: bytes) -> str:
    """Decode HealthCheckRequest."""
    return data[2:].decode() if data.startswith(_STRING_FIELD_1) else ""


def encode_response(health: Health) -> bytes:
    """Encode HealthCheckResponse."""
    number = next((number for number, known in _STATUS.items() if known is health), 0)
    return _VARINT_FIELD_1 + bytes([number])


def decode_response(data: bytes) -> Health:
    """Decode HealthCheckResponse; what it does not say is UNKNOWN."""
    number = data[1] if data.startswith(_VARINT_FIELD_1) and len(data) > 1 else 0
    return _STATUS.get(number, Health.UNKNOWN)
