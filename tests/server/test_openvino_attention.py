"""Attention within rows gives what it gives over the whole batch; no length is computed wrong."""

from __future__ import annotations

import numpy as np
import pytest
from openvino import opset13 as ops

from polyhead_server.model import Model
from polyhead_server.openvino_attention import by_rows, with_whole_scores
from polyhead_server.openvino_core import shared_core
from polyhead_server.openvino_engine import Inputs, run_batch, served_graph
from polyhead_server.openvino_graph import unquantised
from polyhead_server.packing import ROW, pack, pack_rows
from polyhead_server.settings import DEFAULT_BUNDLE

TEXTS = (
    "Ada Lovelace wrote the first program in London.",
    "It was good.",
    "the fans left the cold hall long before the last song was over",
)


@pytest.fixture(scope="module")
def windows():
    model = Model.load(DEFAULT_BUNDLE, threads=1)
    found = [model.tokenize(text).windows[0] for text in TEXTS]
    model.close()
    return found


def read(bundle=DEFAULT_BUNDLE):
    return shared_core().read_model(bundle / "encoder.xml")


def runner(model, precision="f32"):
    """A function that runs a graph on a batch."""
    compiled = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    request = compiled.create_infer_request()
    inputs = Inputs(compiled)
    return lambda batch: run_batch(request, inputs, batch).copy()


def segments_rank(model):
    return model.input("segment_ids").get_partial_shape().rank.get_length()


def each(hidden, batch, windows):
    """Vectors of each window."""
    return [
        hidden[start : start + len(window.ids)]
        for start, window in zip(batch.starts, windows, strict=True)
    ]


@pytest.mark.parametrize("int8", [True, False])
def test_rows_change_nothing(windows, int8):
    """A window in rows, in one row and alone has the same vectors as in the graph as it was."""
    many = windows * 5
    rows, flat = pack_rows(many), pack(many)
    assert rows.row == ROW
    run = runner(served_graph(read(), int8=int8))
    in_one_row = with_whole_scores(read()) if int8 else unquantised(read())
    before = each(runner(in_one_row)(flat), flat, many)
    for batch in (rows, flat):
        for found, wanted in zip(each(run(batch), batch, many), before, strict=True):
            np.testing.assert_allclose(found, wanted, atol=2e-4)
    alone = run(single := pack(many[:1]))
    np.testing.assert_allclose(alone[: single.used], before[0], atol=2e-4)


def test_no_length_is_computed_wrong(windows):
    """In what this machine serves in: 32 tokens were, in bf16 with AMX."""
    supported = shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    run = runner(served_graph(read(), int8=True), "bf16" if "BF16" in supported else "f32")
    window = windows[0]
    wanted = run(pack([window]))[: len(window.ids)]
    for count in range(1, 14):
        for put in (pack, pack_rows):
            batch = put([window] * count)
            for found in each(run(batch), batch, [window] * count):
                off = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
                assert off < 0.02, (len(batch.ids), batch.row)


def test_scores_are_not_rounded():
    """Two of six steps a layer that round to 8 bits are gone."""
    count = rounding_steps(read())
    assert rounding_steps(with_whole_scores(read())) == count - 2 * 6


def rounding_steps(model):
    return sum(node.get_type_name() == "FakeQuantize" for node in model.get_ordered_ops())


def test_a_graph_that_masks_in_another_way_is_left_alone():
    """As a causal one does, whose mask knows positions, too."""
    model = read()
    assert segments_rank(by_rows(read())) == 2
    attention = next(
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "ScaledDotProductAttention"
    )
    positions = ops.convert(model.input("position_ids").get_node().output(0), "f32")
    mask = ops.add(attention.input_value(3), ops.multiply(positions, np.float32(0)))
    attention.input(3).replace_source_output(mask.output(0))
    model.validate_nodes_and_infer_types()
    assert segments_rank(by_rows(model)) == 1
