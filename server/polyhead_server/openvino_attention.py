"""Changes to how an encoder's OpenVINO graph attends, before it is compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from openvino import opset13 as ops

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openvino as ov

_ATTENTION = "ScaledDotProductAttention"
_QUERY, _KEY, _VALUE, _MASK = range(4)
_SEGMENTS = "segment_ids"
_NEVER = np.float32(-3.0e38)
_OF_A_PLAIN_MASK = {
    *("Parameter", "Constant", "Convert", "Unsqueeze", "Squeeze", "Equal", "LogicalNot"),
    *("Subtract", "Multiply", "Select"),
}
"""Steps from segments to a mask that lets a token attend to its own segment, and no more."""
_HEADS_RANK = 4


class _Shapes(NamedTuple):
    """Where an attention's inputs are taken apart into heads, and its output is put together."""

    attention: ov.Node
    apart: list[ov.Node]
    together: ov.Node


def with_whole_scores(model: ov.Model) -> ov.Model:
    """The graph without the steps that round queries and keys to 8 bits.

    Attention is computed in floating point anyway, so that they only cost time and accuracy. And
    OpenVINO 2026.4 gets attention over exactly 32 tokens of 32 values each wrong behind them, in
    bf16 with AMX: half of what comes out is noise.
    """
    for attention in _attentions(model):
        for number in (_QUERY, _KEY):
            node, before = _upstream(attention, number)
            if before.get_type_name() == "FakeQuantize":
                node.input(0).replace_source_output(before.input_value(0))
    model.validate_nodes_and_infer_types()
    return model


def by_rows(model: ov.Model) -> ov.Model:
    """The graph with attention within rows of the batch, whose segments are [B, R] then.

    All other inputs stay flat, [B * R]. A graph that attends in another way than to a token's own
    segment, as causal ones do, or that is built unlike ours, is left alone: its segments stay flat.
    """
    attentions = list(_attentions(model))
    found = [shapes for attention in attentions if (shapes := _shapes(attention))]
    old = next((one for one in model.get_parameters() if _SEGMENTS in _names(one)), None)
    if old is None or not found or len(found) < len(attentions):
        return model
    rows = ops.parameter([-1, -1], np.int32)
    shape = ops.shape_of(rows, "i64")
    mask = _mask(rows)
    for attention, apart, together in found:
        for node in apart:
            heads = ops.constant(_pattern(node)[2:])
            node.input(1).replace_source_output(ops.concat([shape, heads], 0).output(0))
        width = _pattern(together)[2]
        whole = ops.constant(np.array([1, -1, width], np.int64))
        together.input(1).replace_source_output(whole.output(0))
        attention.input(_MASK).replace_source_output(mask.output(0))
    old.output(0).set_names(set())
    rows.output(0).set_names({_SEGMENTS})
    model.add_parameters([rows])
    model.remove_parameter(old)
    model.validate_nodes_and_infer_types()
    return model


def _mask(rows: ov.Node) -> ov.Node:
    """What is added to the scores, [B, 1, R, R]: nothing within a segment."""
    same = ops.equal(ops.unsqueeze(rows, 1), ops.unsqueeze(rows, 2))
    return ops.unsqueeze(ops.select(same, np.float32(0), _NEVER), 1)


def _attentions(model: ov.Model) -> Iterator[ov.Node]:
    return (node for node in model.get_ordered_ops() if node.get_type_name() == _ATTENTION)


def _names(node: ov.Node) -> set[str]:
    return set(node.output(0).get_names())


def _shapes(attention: ov.Node) -> _Shapes | None:
    """None where it is not built as ours are."""
    if len(attention.inputs()) <= _MASK or attention.get_attributes().get("causal"):
        return None
    apart = [_upstream(attention, number)[0] for number in (_QUERY, _KEY, _VALUE)]
    together = _downstream(attention)
    if together is None or not all(_is_pattern(node, _HEADS_RANK) for node in apart):
        return None
    plain = _is_plain(attention.input_value(_MASK).get_node())
    return _Shapes(attention, apart, together) if plain else None


def _upstream(attention: ov.Node, number: int) -> tuple[ov.Node, ov.Node]:
    """The step that takes an input apart into heads, or whatever stands there; what is before."""
    node = attention.input_value(number).get_node()
    while node.get_type_name() == "Transpose":
        node = node.input_value(0).get_node()
    return node, node.input_value(0).get_node() if node.inputs() else node


def _downstream(attention: ov.Node) -> ov.Node | None:
    """The step that puts the heads together again."""
    turned = _only_reader(attention)
    node = turned and _only_reader(turned)
    return node if node and _is_pattern(node, _HEADS_RANK - 1) else None


def _only_reader(node: ov.Node) -> ov.Node | None:
    readers = [target.get_node() for target in node.output(0).get_target_inputs()]
    return readers[0] if len(readers) == 1 else None


def _is_pattern(node: ov.Node, rank: int) -> bool:
    """Whether it reshapes to a fixed pattern of so many axes."""
    if node.get_type_name() != "Reshape":
        return False
    pattern = node.input_value(1).get_node()
    return pattern.get_type_name() == "Constant" and len(_pattern(node)) == rank


def _pattern(node: ov.Node) -> np.ndarray:
    pattern: np.ndarray = node.input_value(1).get_node().data
    return pattern.astype(np.int64)


def _is_plain(mask: ov.Node) -> bool:
    """Whether a mask knows nothing but which tokens are of one segment."""
    waiting, seen = [mask], set()
    parameters: set[str] = set()
    while waiting:
        node = waiting.pop()
        name = node.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        if node.get_type_name() not in _OF_A_PLAIN_MASK:
            return False
        if node.get_type_name() == "Parameter":
            parameters |= _names(node)
        waiting += [node.input_value(number).get_node() for number in range(len(node.inputs()))]
    return parameters == {_SEGMENTS}
