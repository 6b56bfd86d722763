"""Bytes become messages or violations, never exceptions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead_server.inference import open_inference_pb2 as inference
from polyhead_server.received import Decoder

DECODE = Decoder(pb.AnnotateStreamRequest)


def stream_request(*texts):
    items = [pb.StreamItem(id=str(n), document=doc.Document(text=t)) for n, t in enumerate(texts)]
    return pb.AnnotateStreamRequest(items=items, tasks=["pos"], offset_unit=2)


def test_good_bytes():
    """A good message comes as it is."""
    received = DECODE(stream_request("a").SerializeToString())
    assert received.message == stream_request("a")
    assert received.violations == ()


def test_bad_strings_are_named_and_emptied_and_the_rest_is_kept():
    """Only the strings at fault are lost."""
    data = stream_request("good", "@@", "fine").SerializeToString().replace(b"@@", b"\xff\xff")
    received = DECODE(data)
    assert [violation.field for violation in received.violations] == ["items[1].document.text"]
    assert received.message == stream_request("good", "", "fine")
    assert received.message.items[1].document.WhichOneof("source") == "text"
    assert not received.malformed


def test_bytes_by_right_maps_and_inner_messages():
    """Fields of bytes may hold any; strings within maps and inner messages are looked at."""
    tensor = inference.ModelInferRequest.InferInputTensor(name="@@")
    tensor.contents.bytes_contents.append(b"\xff")
    message = inference.ModelInferRequest(inputs=[tensor], raw_input_contents=[b"\xfe"])
    message.parameters["good"].string_param = "fine"
    message.parameters["##"].double_param = 0.5
    data = message.SerializeToString().replace(b"@@", b"\xff\xff").replace(b"##", b"\xff\xff")
    received = Decoder(inference.ModelInferRequest)(data)
    blamed = {violation.field for violation in received.violations}
    assert "inputs[0].name" in blamed
    assert blamed - {"inputs[0].name"} < {"parameters[0].key", "parameters[1].key"}
    assert received.message.inputs[0].contents.bytes_contents == [b"\xff"]
    assert received.message.raw_input_contents == [b"\xfe"]
    assert received.message.parameters["good"].string_param == "fine"


def test_too_many_parts_to_look_at():
    """Where text that is not UTF-8 is among millions, it is not searched for."""
    data = stream_request(*"a" * 60_000, "@@").SerializeToString().replace(b"@@", b"\xff\xff")
    received = DECODE(data)
    assert received.malformed
    assert [violation.field for violation in received.violations] == ["message"]
    assert not received.message.items


def test_no_message():
    """Bytes that cannot be read at all give an empty message that says so."""
    received = DECODE(b"\xff")
    assert received.malformed
    assert received.message == pb.AnnotateStreamRequest()


@given(st.binary(max_size=60))
def test_never_raises(data):
    """Whatever bytes come, they are decoded or blamed."""
    received = DECODE(data)
    blamed = [violation.field for violation in received.violations]
    assert received.malformed == (blamed == ["message"])


@given(st.lists(st.binary(max_size=6), max_size=4))
def test_texts_are_blamed_exactly_where_python_cannot_decode_them(texts):
    """The same strings are refused as Python's decoder refuses."""
    data = b"".join(field(1, field(2, field(1, text))) for text in texts)
    expected = [f"items[{n}].document.text" for n, t in enumerate(texts) if not decodes(t)]
    assert [violation.field for violation in DECODE(data).violations] == expected


def decodes(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def field(number, content):
    """A length-delimited field in protobuf encoding."""
    return bytes([number << 3 | 2, len(content)]) + content
