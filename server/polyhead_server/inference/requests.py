"""From an inference request of either wire to texts and wanted outputs, or to what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from polyhead_server.checks import shown
from polyhead_server.errors import InvalidRequestError, Violation
from polyhead_server.inference.models import TEXT
from polyhead_server.inference.tensors import split
from polyhead_server.offsets import Unit
from polyhead_server.schedule import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyhead_server.checks import Limits
    from polyhead_server.inference.models import OutputSpec, ServedModel

Parameter = bool | int | float | str

UNITS = {"code_point": Unit.CODE_POINT, "utf8_byte": Unit.UTF8_BYTE, "utf16": Unit.UTF16}
"""Values of the parameter offset_unit."""

PRIORITIES = {"interactive": Priority.INTERACTIVE, "bulk": Priority.BULK}
"""Values of the parameter priority, beside numbers."""

CHECKED = frozenset(("offset_unit", "priority", "timeout", "classification"))
"""Parameters whose value is refused where it is wrong; one of no plain type is, too."""

_MICROSECONDS = 1e-6
_LONGEST = 10**15
"""Microseconds: no float overflows, and no call lasts that long."""
_SHARED_MEMORY = "shared_memory_region"
_SHOWN_DIMENSIONS = 4
_FLAT = 1
_COLUMN = 2


@dataclass(frozen=True, slots=True)
class InputTensor:
    """One input as it came."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[bytes] | bytes
    """Its elements, or all of them in raw form."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """One wanted output as it came."""

    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferRequest:
    """An inference request as it came, of either wire."""

    model: str
    version: str = ""
    id: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    inputs: tuple[InputTensor, ...] = ()
    outputs: tuple[RequestedOutput, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One output to give."""

    spec: OutputSpec
    classes: int = 0
    """Give this many best classes in place of the scores; 0 gives the scores."""


@dataclass(frozen=True, slots=True)
class Work:
    """An inference request that is understood."""

    model: ServedModel
    texts: list[str]
    wanted: tuple[Wanted, ...]
    unit: Unit
    timeout: float | None
    """Seconds; None where the request sets no bound."""
    priority: Priority | None
    """The lane to wait in; None where the request does not say."""

    @property
    def tasks(self) -> list[str]:
        """The heads that the wanted outputs need, each once."""
        return list(dict.fromkeys(wanted.spec.head.name for wanted in self.wanted))


def understand(request: InferRequest, model: ServedModel, limits: Limits) -> Work:
    """Check a request for a model and decode its texts.

    Raises:
        InvalidRequestError: names, types, shapes, elements or parameters are not right.
    """
    _check_names(request.inputs, model)
    unit = _unit(request.parameters)
    timeout = _timeout(request.parameters)
    wanted = _wanted(request.outputs, model)
    priority = _priority(request.parameters)
    texts = _texts(request.inputs[0], model, limits)
    return Work(model, texts, wanted, unit, timeout, priority)


def wrong(field_path: str, description: str) -> InvalidRequestError:
    """The error of a request that is wrong in one field."""
    return InvalidRequestError([Violation(field_path, description)])


def _check_names(inputs: Sequence[InputTensor], model: ServedModel) -> None:
    of_model = f"for model {model.name!r}"
    if not inputs:
        raise wrong("inputs", f"expected 1 input, {TEXT!r}, but got 0 {of_model}")
    for index, tensor in enumerate(inputs):
        path = f"inputs[{index}].name"
        if tensor.name != TEXT:
            unexpected = f"unexpected inference input {shown(tensor.name)} {of_model}"
            raise wrong(path, f"{unexpected}: expected {TEXT!r}")
        if index > 0:
            raise wrong(path, f"{TEXT!r} is given twice {of_model}")


def _texts(tensor: InputTensor, model: ServedModel, limits: Limits) -> list[str]:
    of_input = f"for inference input {TEXT!r} of model {model.name!r}"
    if tensor.datatype != "BYTES":
        raise wrong(
            "inputs[0].datatype",
            f"unexpected data type {shown(tensor.datatype)} {of_input}: expected 'BYTES'",
        )
    if _SHARED_MEMORY in tensor.parameters:
        raise wrong(
            "inputs[0].parameters",
            f"shared memory is not supported {of_input}: send its elements in the request",
        )
    count = _count(tensor.shape, of_input, limits)
    return _decoded(_elements(tensor.data, count, of_input))


def _count(shape: tuple[int, ...], of_input: str, limits: Limits) -> int:
    """The number of texts in a shape."""
    flat = len(shape) == _FLAT
    column = len(shape) == _COLUMN and shape[1] == 1
    path = "inputs[0].shape"
    if not (flat or column) or shape[0] < 0:
        raise wrong(
            path, f"unexpected shape {_shown_shape(shape)} {of_input}: expected [-1] or [-1,1]"
        )
    if shape[0] == 0:
        raise wrong(path, f"must hold at least one text {of_input}")
    if shape[0] > limits.max_documents:
        raise wrong(path, f"holds {shape[0]} texts, more than the limit of {limits.max_documents}")
    return shape[0]


def _shown_shape(shape: tuple[int, ...]) -> str:
    more = ["..."] if len(shape) > _SHOWN_DIMENSIONS else []
    return f"[{','.join([*map(str, shape[:_SHOWN_DIMENSIONS]), *more])}]"


def _elements(data: Sequence[bytes] | bytes, count: int, of_input: str) -> Sequence[bytes]:
    if isinstance(data, bytes):
        try:
            return split(data, count)
        except ValueError as error:
            raise wrong("raw_input_contents[0]", f"{error} {of_input}") from None
    if len(data) != count:
        raise wrong("inputs[0]", f"expected {count} elements but got {len(data)} {of_input}")
    return data


def _decoded(elements: Sequence[bytes]) -> list[str]:
    texts = []
    violations = []
    for index, element in enumerate(elements):
        try:
            texts.append(element.decode())
        except UnicodeDecodeError:
            violations.append(Violation(f"{TEXT}[{index}]", "is not valid UTF-8"))
    if violations:
        raise InvalidRequestError(violations)
    return texts


def _wanted(outputs: Sequence[RequestedOutput], model: ServedModel) -> tuple[Wanted, ...]:
    if not outputs:
        return tuple(Wanted(spec) for spec in model.outputs.values())
    found: dict[str, Wanted] = {}
    for index, output in enumerate(outputs):
        path = f"outputs[{index}]"
        spec = model.outputs.get(output.name)
        if spec is None:
            unexpected = f"unexpected inference output {shown(output.name)}"
            known = ", ".join(repr(name) for name in model.outputs)
            text = f"{unexpected} for model {model.name!r}: expected one of {known}"
            raise wrong(f"{path}.name", text)
        if spec.name in found:
            raise wrong(f"{path}.name", f"{spec.name!r} is asked for twice")
        found[spec.name] = Wanted(spec, _classes(output, spec, path))
    return tuple(found.values())


def _classes(output: RequestedOutput, spec: OutputSpec, path: str) -> int:
    path += ".parameters"
    if _SHARED_MEMORY in output.parameters:
        raise wrong(path, f"shared memory is not supported for output {spec.name!r}")
    if "classification" not in output.parameters:
        return 0
    classes = output.parameters["classification"]
    if type(classes) is not int or classes < 1:
        raise wrong(path, "'classification' must be a whole number above 0")
    if not spec.part.wide:
        raise wrong(path, f"'classification' is not supported for output {spec.name!r}")
    return min(classes, len(spec.head.labels))


def _unit(parameters: Mapping[str, Parameter]) -> Unit:
    name = parameters.get("offset_unit", "code_point")
    if not isinstance(name, str) or name not in UNITS:
        known = ", ".join(repr(known) for known in UNITS)
        raise wrong("parameters.offset_unit", f"must be one of {known}")
    return UNITS[name]


def _priority(parameters: Mapping[str, Parameter]) -> Priority | None:
    """By name; clients of the protocol send a number: 0 for the default, 1 for the highest."""
    priority = parameters.get("priority", 0)
    if isinstance(priority, str) and priority in PRIORITIES:
        return PRIORITIES[priority]
    if type(priority) is not int or priority < 0:
        known = ", ".join(repr(known) for known in PRIORITIES)
        raise wrong("parameters.priority", f"must be one of {known}, or a whole number")
    if priority == 0:
        return None
    return Priority.INTERACTIVE if priority == 1 else Priority.BULK


def _timeout(parameters: Mapping[str, Parameter]) -> float | None:
    """Seconds; clients of the protocol send microseconds, and 0 for no bound."""
    timeout = parameters.get("timeout", 0)
    if type(timeout) is not int or timeout < 0:
        raise wrong("parameters.timeout", "must be a whole number of microseconds")
    return min(timeout, _LONGEST) * _MICROSECONDS if timeout else None
