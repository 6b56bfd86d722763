"""Requests to begin with: made by hypothesis from the contract, at its edges and beyond."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead_server.inference import open_inference_pb2 as oip

if TYPE_CHECKING:
    from collections.abc import Callable

_TASKS = ["sentiment", "entities", "pos", "topic", "*", "polyhead", "sentiment", "*", "nothing", ""]
_TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["the fans in the word", " ", "\0", "\ud7ff\ue000", "a" * 300, "’n‘ 12-3 \u202e"]
    ),
    st.text(alphabet=st.characters(categories=("Mn", "So", "Cf", "Zs", "Lo")), max_size=30),
)
_ODD_NUMBERS = st.sampled_from([1, 2, 3, 1, 2, 3, 0, 7, -1, 2**31 - 1, 2**62])
_SMALL = st.integers(-3, 12)
_DOCUMENTS = st.one_of(
    st.builds(lambda text: doc.Document(text=text), _TEXTS),
    st.builds(
        lambda words: doc.Document(words=doc.WordList(words=words)), st.lists(_TEXTS, max_size=8)
    ),
)


def _annotate(documents: list[doc.Document], tasks: list[str], unit: int, urgency: int) -> bytes:
    request = pb.AnnotateRequest(documents=documents, tasks=tasks)
    request.offset_unit = unit % 2**31
    request.priority = urgency % 2**31
    return request.SerializeToString()


def _streamed(documents: list[doc.Document], tasks: list[str], names: list[str]) -> bytes:
    request = pb.AnnotateStreamRequest(tasks=tasks)
    for number, document in enumerate(documents):
        request.items.add(id=names[number % len(names)] if names else "", document=document)
    return request.SerializeToString()


ANNOTATE = st.builds(
    _annotate,
    st.lists(_DOCUMENTS, max_size=5),
    st.lists(st.sampled_from(_TASKS), max_size=4),
    _ODD_NUMBERS,
    _ODD_NUMBERS,
)
STREAM = st.builds(
    _streamed,
    st.lists(_DOCUMENTS, max_size=4),
    st.lists(st.sampled_from(_TASKS), max_size=3),
    st.lists(st.text(max_size=5), max_size=4),
)


def _infer(
    model: str, name: str, kind: str, shape: list[int], contents: list[bytes], unit: str
) -> bytes:
    request = oip.ModelInferRequest(model_name=model, id=unit)
    shape = shape if shape[:1] == [0] else [len(contents)]
    tensor = request.inputs.add(name=name, datatype=kind, shape=shape)
    if len(unit) % 2:
        request.raw_input_contents.append(
            b"".join(len(c).to_bytes(4, "little") + c for c in contents)
        )
    else:
        tensor.contents.bytes_contents.extend(contents)
    request.parameters["offset_unit"].string_param = unit
    return request.SerializeToString()


_MODELS = st.sampled_from(_TASKS)
_NAMES = st.sampled_from(["text"] * 6 + ["", "TEXT"])
_KINDS = st.sampled_from(["BYTES"] * 6 + ["FP32", ""])
_UNITS = st.sampled_from(["code_point", "utf16", "utf8_byte", "", "ell"])
INFER = st.builds(
    _infer,
    _MODELS,
    _NAMES,
    _KINDS,
    st.lists(_SMALL, max_size=3),
    st.lists(_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), max_size=4),
    _UNITS,
)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
INFER_JSON = st.builds(
    lambda name, kind, shape, data, unit, extra: json.dumps(
        {
            "inputs": [{"name": name, "datatype": kind, "shape": shape, "data": data}],
            "parameters": {"offset_unit": unit, "timeout": extra},
            "outputs": extra,
        }
    ).encode(),
    _NAMES,
    _KINDS,
    st.one_of(st.lists(_SMALL, max_size=3), _JSON),
    st.one_of(st.lists(st.text(max_size=20), max_size=4), _JSON),
    _UNITS,
    _JSON,
)


def pool(strategy: st.SearchStrategy[bytes], size: int, number: int) -> list[bytes]:
    """So many examples, the same for the same number."""
    found: list[bytes] = []

    @seed(number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def keep(example: bytes) -> None:
        found.append(example)

    run: Callable[[], None] = keep
    run()
    return found
