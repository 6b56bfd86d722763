"""The graph that is compiled takes less memory than the one that was read, and gives the same."""

from __future__ import annotations

import numpy as np
import pytest

from polyhead_server.engine import INPUTS
from polyhead_server.model import Model
from polyhead_server.openvino_core import shared_core
from polyhead_server.openvino_graph import with_small_tables
from polyhead_server.packing import pack
from polyhead_server.settings import DEFAULT_BUNDLE

ROWS = 30_522


@pytest.fixture(scope="module")
def batch():
    model = Model.load(DEFAULT_BUNDLE, threads=1)
    windows = model.tokenize("Ada Lovelace wrote the first program in London.").windows
    model.close()
    return dict(zip(INPUTS, pack(windows).columns, strict=True))


def compiled(change):
    core = shared_core()
    model = change(core.read_model(DEFAULT_BUNDLE / "encoder.xml"))
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def table_types(encoder):
    """Types of the constants with a row for each sub-word in what is really run."""
    nodes = encoder.get_runtime_model().get_ordered_ops()
    return {
        str(output.get_element_type())
        for node in nodes
        for output in node.outputs()
        if output.get_partial_shape().rank.get_length() == 2
        and output.get_partial_shape()[0] == ROWS
        and output.get_partial_shape()[1] != 1
    }


def test_tables_stay_in_8_bits(batch):
    """Values are those of the graph as it was, to the last bit; the table is a quarter as large."""
    plain, small = compiled(lambda model: model), compiled(with_small_tables)
    assert all("float32" in kind for kind in table_types(plain))
    assert table_types(small)
    assert not any("float32" in kind for kind in table_types(small))
    np.testing.assert_array_equal(plain(batch)[0], small(batch)[0])
