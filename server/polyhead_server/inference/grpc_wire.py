"""Between the protocol's messages and what both wires have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.inference import open_inference_pb2 as pb
from polyhead_server.inference.requests import InferRequest, InputTensor, RequestedOutput, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Sized

    from polyhead_server.inference.answers import InferAnswer
    from polyhead_server.inference.requests import Parameter
    from polyhead_server.inference.tensors import Tensor


_MOST_PARTS = 1024
"""Inputs, outputs and parameters that are read of one message; no model has so many."""


def infer_request(message: pb.ModelInferRequest) -> InferRequest:
    """A request from its message.

    Raises:
        InvalidRequestError: raw contents and inputs do not go together, or it holds too much.
    """
    for name in ("inputs", "outputs", "parameters"):
        _ensure_few(getattr(message, name), name)
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        text = f"expected {len(message.inputs)} entries, one for each input, but got {len(raw)}"
        raise wrong("raw_input_contents", text)
    return InferRequest(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        parameters=_parameters(message.parameters),
        inputs=tuple(_input(tensor, index, raw) for index, tensor in enumerate(message.inputs)),
        outputs=tuple(
            RequestedOutput(output.name, _parameters(output.parameters, f"outputs[{index}]."))
            for index, output in enumerate(message.outputs)
        ),
    )


def infer_response(answer: InferAnswer, *, raw: bool) -> pb.ModelInferResponse:
    """An answer as a message.

    Args:
        answer: the answer.
        raw: give elements in raw form, as a request in raw form asks for.
    """
    message = pb.ModelInferResponse(
        model_name=answer.model, model_version=answer.version, id=answer.id
    )
    for name, value in answer.parameters.items():
        _set(message.parameters[name], value)
    for tensor in answer.tensors:
        output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            message.raw_output_contents.append(tensor.raw())
        else:
            _fill(output.contents, tensor)
    return message


def _ensure_few(parts: Sized, path: str) -> None:
    if len(parts) > _MOST_PARTS:
        raise wrong(path, f"must hold no more than {_MOST_PARTS}")


def _input(
    tensor: pb.ModelInferRequest.InferInputTensor, index: int, raw: Sequence[bytes]
) -> InputTensor:
    if raw and tensor.HasField("contents"):
        path = f"inputs[{index}].contents"
        raise wrong(path, "must not be given together with raw_input_contents")
    _ensure_few(tensor.shape, f"inputs[{index}].shape")
    return InputTensor(
        name=tensor.name,
        datatype=tensor.datatype,
        shape=tuple(tensor.shape),
        data=raw[index] if raw else tensor.contents.bytes_contents,
        parameters=_parameters(tensor.parameters, f"inputs[{index}]."),
    )


def _parameters(
    parameters: Mapping[str, pb.InferParameter], path: str = ""
) -> dict[str, Parameter]:
    _ensure_few(parameters, f"{path}parameters")
    values: dict[str, Parameter] = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is not None:
            values[name] = getattr(parameter, kind)
    return values


def _set(parameter: pb.InferParameter, value: Parameter) -> None:
    if isinstance(value, str):
        parameter.string_param = value
    elif isinstance(value, float):
        parameter.double_param = value
    else:
        parameter.int64_param = value


def _fill(contents: pb.InferTensorContents, tensor: Tensor) -> None:
    if isinstance(tensor.values, list):
        contents.bytes_contents.extend(tensor.values)
    elif tensor.datatype == "FP32":
        contents.fp32_contents.extend(tensor.numbers())
    else:
        contents.int_contents.extend(tensor.numbers())
