"""The encoder as an OpenVINO graph: traced from torch, and quantised to int8.

The graph takes flat packed tokens (see ``polyhead_server.packing``). Post-training static
quantisation by NNCF sets the int8 ranges from encoder runs over training texts.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nncf
import openvino as ov
import torch

from polyhead_server.engine import INPUTS
from polyhead_server.packing import pack
from polyhead_training.adapters import merge_adapters
from polyhead_training.torch_engine import PackedEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.encoding import Window
    from polyhead_training.network import Encoder

_EXAMPLE_TOKENS = 24
_SEGMENTS = 3
_OPSET = 17


def trace_encoder(encoder: Encoder) -> ov.Model:
    """Turn the encoder into an OpenVINO graph, computing in fp32."""
    packed = PackedEncoder(merge_adapters(encoder)).eval().float().cpu()
    count = torch.arange(_EXAMPLE_TOKENS)
    part = _EXAMPLE_TOKENS // _SEGMENTS
    example = (count + 1, count % part, count // part, torch.ones_like(count))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer's, about Python values that are constant here
        torch.onnx.export(
            packed,
            tuple(value.to(torch.int32) for value in example),
            file := Path(folder) / "encoder.onnx",
            input_names=list(INPUTS),
            output_names=["hidden"],
            dynamic_axes={name: {0: "tokens"} for name in (*INPUTS, "hidden")},
            opset_version=_OPSET,
            dynamo=False,
        )
        return _with_every_input(ov.convert_model(file))


def _with_every_input(model: ov.Model) -> ov.Model:
    """The graph with inputs that the tracer left out, since nothing reads them.

    An encoder without letter-case shapes is such a one; servers give all of them all inputs.
    """
    there = {name for port in model.inputs for name in port.get_names()}
    kind = model.inputs[0].get_element_type()
    for name in INPUTS:
        if name not in there:
            unread = ov.opset13.parameter([-1], kind, name)
            unread.output(0).set_names({name})
            model.add_parameters([unread])
    model.validate_nodes_and_infer_types()
    return model


def quantise(
    model: ov.Model, batches: Sequence[Sequence[Window]], position_offset: int
) -> ov.Model:
    """Quantise weights and activations to int8.

    Args:
        model: the fp32 graph.
        batches: windows that are run together, to see the range of every activation.
        position_offset: position id of a window's first token.
    """
    logging.getLogger("nncf").setLevel(logging.ERROR)
    inputs = [_inputs(batch, position_offset) for batch in batches]
    quantised: ov.Model = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
    )
    return quantised


def _inputs(batch: Sequence[Window], position_offset: int) -> dict[str, Any]:
    return dict(zip(INPUTS, pack(batch, position_offset).columns, strict=True))
