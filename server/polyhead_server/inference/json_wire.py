"""Between the protocol's JSON, with its binary extension, and what both wires have in common.

A body is JSON; with the binary extension the elements of tensors follow behind it in raw form, and
a header tells where the JSON ends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from polyhead_server.inference.requests import (
    CHECKED,
    InferRequest,
    InputTensor,
    RequestedOutput,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyhead_server.inference.answers import InferAnswer
    from polyhead_server.inference.requests import Parameter
    from polyhead_server.inference.tensors import Tensor

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"
"""Bytes of JSON in a body with the binary extension."""

_BINARY_SIZE = "binary_data_size"
_LENGTH_DIGITS = 20
"""No body has a length of so many digits."""


def infer_request(model: str, version: str, body: bytes, json_length: str | None) -> InferRequest:
    """A request from its path and body.

    Args:
        model: name from the path.
        version: version from the path; empty without one.
        body: the body.
        json_length: the header that tells where the JSON ends, as it came.

    Raises:
        InvalidRequestError: the body is not what the protocol asks for.
    """
    split = _json_length(body, json_length)
    content = _object(_parsed(body[:split]), "the request")
    binary = _Binary(body[split:])
    request = InferRequest(
        model=model,
        version=version,
        id=_text(content.get("id", ""), "id"),
        parameters=_parameters(content, "parameters"),
        inputs=tuple(
            _input(_object(item, f"inputs[{n}]"), f"inputs[{n}]", binary)
            for n, item in enumerate(_list(content.get("inputs"), "inputs"))
        ),
        outputs=tuple(
            _output(_object(item, f"outputs[{n}]"), f"outputs[{n}]")
            for n, item in enumerate(_list(content.get("outputs", []), "outputs"))
        ),
    )
    binary.finish()
    return request


def infer_response(answer: InferAnswer, request: InferRequest) -> tuple[bytes, int | None]:
    """An answer as a body.

    Returns:
        The body, and where its JSON ends; None where it is JSON alone.
    """
    everywhere = request.parameters.get("binary_data_output") is True
    said = {o.name: o.parameters.get("binary_data", everywhere) for o in request.outputs}
    binary = []
    outputs = []
    for tensor in answer.tensors:
        output: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if said.get(tensor.name, everywhere) is True:
            binary.append(tensor.raw())
            output["parameters"] = {_BINARY_SIZE: len(binary[-1])}
        else:
            output["data"] = _data(tensor)
        outputs.append(output)
    content = {
        "model_name": answer.model,
        "model_version": answer.version,
        **({"id": answer.id} if answer.id else {}),
        "parameters": answer.parameters,
        "outputs": outputs,
    }
    head = dump(content)
    return b"".join((head, *binary)), len(head) if binary else None


def dump(content: object) -> bytes:
    """JSON as bytes."""
    return json.dumps(content, separators=(",", ":")).encode()


def read_object(body: bytes) -> Mapping[str, Any]:
    """A body that is a JSON object, or empty.

    Raises:
        InvalidRequestError: it is neither.
    """
    return _object(_parsed(body), "the request") if body.strip() else {}


class _Binary:
    """What follows behind the JSON, taken piece by piece."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, size: Parameter, path: str) -> bytes:
        if type(size) is not int or size < 0:
            raise wrong(path, f"{_BINARY_SIZE!r} must be a whole number from 0")
        left = len(self._content) - self._at
        if size > left:
            raise wrong(path, f"{_BINARY_SIZE!r} is {size}, but {left} bytes of data are left")
        self._at += size
        return self._content[self._at - size : self._at]

    def finish(self) -> None:
        left = len(self._content) - self._at
        if left:
            raise wrong("body", f"{left} bytes of data are left over after all inputs")


def _json_length(body: bytes, given: str | None) -> int:
    if given is None:
        return len(body)
    if given.isascii() and given.isdigit():
        # Python refuses to read thousands of digits, which may be zeros before the number.
        length = int(given.lstrip("0")[:_LENGTH_DIGITS] or "0")
        if length <= len(body):
            return length
    raise wrong(JSON_LENGTH_HEADER, f"must be a whole number from 0 to {len(body)}")


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise wrong("body", "the request cannot be parsed as JSON") from None


def _input(content: Mapping[str, Any], path: str, binary: _Binary) -> InputTensor:
    parameters = _parameters(content, f"{path}.parameters")
    datatype = _text(content.get("datatype"), f"{path}.datatype")
    data: list[bytes] | bytes
    if _BINARY_SIZE in parameters:
        data = binary.take(parameters[_BINARY_SIZE], f"{path}.parameters")
    elif datatype == "BYTES" and "shared_memory_region" not in parameters:
        data = _elements(content.get("data"), f"{path}.data")
    else:
        data = []
    return InputTensor(
        name=_text(content.get("name"), f"{path}.name"),
        datatype=datatype,
        shape=tuple(_size(size, f"{path}.shape") for size in _shape(content, path)),
        data=data,
        parameters=parameters,
    )


def _output(content: Mapping[str, Any], path: str) -> RequestedOutput:
    name = _text(content.get("name"), f"{path}.name")
    return RequestedOutput(name, _parameters(content, f"{path}.parameters"))


def _elements(data: Any, path: str) -> list[bytes]:
    """Elements of BYTES, flat or one row each."""
    rows = _list(data, path)
    flat = [item for row in rows for item in (row if isinstance(row, list) else (row,))]
    for item in flat:
        if not isinstance(item, str):
            raise wrong(path, "must hold strings only")
    # Half a surrogate pair, which JSON can spell, becomes bytes that are no UTF-8: refused later.
    return [item.encode("utf-8", "surrogatepass") for item in flat]


def _data(tensor: Tensor) -> list[Any]:
    if isinstance(tensor.values, list):
        return [value.decode() for value in tensor.values]
    return tensor.numbers()


def _shape(content: Mapping[str, Any], path: str) -> list[Any]:
    return _list(content.get("shape"), f"{path}.shape")


def _size(value: Any, path: str) -> int:
    return value if type(value) is int else _must(path, "must hold whole numbers only")


def _text(value: Any, path: str) -> str:
    return value if isinstance(value, str) else _must(path, "must be a string")


def _list(value: Any, path: str) -> list[Any]:
    return value if isinstance(value, list) else _must(path, "must be a list")


def _object(value: Any, path: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else _must(path, "must be an object")


def _parameters(content: Mapping[str, Any], path: str) -> dict[str, Parameter]:
    """Parameters with a plain value; the protocol knows no others, and they are ignored.

    Those that are checked stay whatever they are, to be refused: who set one would be answered
    as if it were not there.
    """
    given = _object(content.get("parameters", {}), path)
    plain = bool | int | float | str
    return {k: v for k, v in given.items() if k in CHECKED or isinstance(v, plain)}


def _must(path: str, text: str) -> NoReturn:
    raise wrong(path, text)
