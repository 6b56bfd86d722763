"""A bundle that is damaged, incomplete or not ours is refused with what is wrong with it."""

import contextlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from safetensors.numpy import load_file, save_file
from tiny_bundle import edit_manifest

from polyhead_server.bundle import MANIFEST, open_bundle, seal_bundle
from polyhead_server.engine import INPUTS
from polyhead_server.errors import BundleError
from polyhead_server.model import Model


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def refused(bundle, message: str) -> None:
    """Loading fails with a message of one line that names the bundle."""
    with pytest.raises(BundleError, match=message) as caught:
        Model.load(bundle, threads=1)
    assert str(bundle) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bundle_opens_as_it_was_sealed(tiny_bundle):
    """The manifest comes back whole, and sealing again changes nothing."""
    before = (tiny_bundle / MANIFEST).read_bytes()
    found = open_bundle(tiny_bundle)
    assert (found.name, found.version) == ("tiny", "1")
    assert [head.name for head in found.heads] == ["sentiment", "entities", "pos", "topic"]
    assert found.heads[0].figures[0].value == 0.5
    seal_bundle(tiny_bundle, found.manifest)
    assert (tiny_bundle / MANIFEST).read_bytes() == before


def test_a_path_that_is_no_bundle(tmp_path):
    """A missing directory, an empty one, and a file."""
    file = tmp_path / "file"
    file.write_text("text")
    refused(tmp_path / "nowhere", "not a bundle")
    refused(tmp_path, "not a bundle")
    refused(file, "Not a directory")


@pytest.mark.parametrize("content", [b"no json", b"\xff\xfe", b"", b"[" * 100_000, b'{"a": 1'])
def test_a_manifest_that_is_not_json(bundle, content):
    """Whatever its bytes are."""
    (bundle / MANIFEST).write_bytes(content)
    refused(bundle, "is not JSON")


def test_a_manifest_that_is_no_object(bundle):
    """A list is JSON, but no manifest."""
    (bundle / MANIFEST).write_text("[]")
    refused(bundle, "not a JSON object")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 2, "format 2 is not 1"),
        (("format",), "1", "format is not a whole number"),
        (("format",), True, "format is not a whole number"),
        (("name",), "", "name is not a string of at least one character"),
        (("version",), None, "version is not a string"),
        (("heads",), [], "heads: at least one"),
        (("heads",), {}, "heads is not a list"),
        (("heads", 0), 3, "heads is not a list of objects"),
        (("heads", 1, "name"), "pos", "a name of its own"),
        *(
            (("heads", 1, "name"), name, r"heads\[1\]: name is not 1 to 64 of a-z, 0-9, _ and -")
            for name in ("*", "A B", "Topic", "a.b", "", "a\n", "\u0661", "x" * 65)
        ),
        (("heads", 1, "name"), 7, r"heads\[1\]: name is not a string"),
        (("heads", 0, "figures", 0, "value"), True, "value is not a number"),
        (("heads", 0, "kind"), "regression", "kind is not one of classification"),
        (("heads", 0, "pooling"), "sum", "pooling is not one of mean"),
        (("heads", 0, "labels"), [], "labels is not a list of different strings"),
        (("heads", 0, "labels"), ["a", "a", "b"], "labels is not a list of different strings"),
        (("heads", 0, "labels"), ["a", "\ud800", "b"], "labels is not a list of different"),
        (("heads", 0, "labels"), ["a", "b"], "3 outputs do not fit 2 labels"),
        (("heads", 1, "labels"), ["a", "b"], "7 outputs do not fit 2 labels"),
        (("heads", 0, "file"), "../x", "file is not a path inside the bundle"),
        (("heads", 0, "file"), "heads/../../x", "file is not a path inside the bundle"),
        (("heads", 0, "file"), "heads/other", "no digest for heads/other"),
        (("encoder", "file"), "/etc/hosts", "file is not a path inside the bundle"),
        (("encoder", "file"), "C:\\x", "file is not a path inside the bundle"),
        (("encoder", "hidden_size"), 0, "hidden_size is not a whole number of at least 1"),
        (("encoder", "hidden_size"), 17, "does not take 17 values"),
        (("tokenizer", "max_tokens"), 9, "must be less than the window"),
        (("tokenizer", "max_tokens"), 100_000, "max_tokens is more than"),
        (("tokenizer", "overlap"), 30, "must be less than the window"),
        (("tokenizer", "prefix"), [-1], "prefix is not a list of whole numbers"),
        (("tokenizer", "prefix"), [70_000], "is not the tokenizer that the manifest describes"),
        (("tokenizer", "unknown"), 10**12, "is not the tokenizer that the manifest describes"),
        (("tokenizer", "shapes"), 1, "shapes is not true or false"),
        (("digests",), {}, "no digest for"),
        (("digests", "../x"), "0", "x is not a path inside the bundle"),
        (("digests", "gone.txt"), "0", "missing file gone.txt"),
        (("digests", "heads"), "0", "missing file heads"),
        (("digests", "x" * 300), "0", "xxx cannot be read: File name too long"),
        (("digests", "words.json"), "0" * 64, "words.json is damaged"),
    ],
)
def test_a_manifest_with_a_wrong_field(bundle, path, value, message):
    """The field and what it should be are named."""
    edit_manifest(bundle, *path, value=value)
    refused(bundle, message)


def test_a_figure_that_no_float_can_hold(bundle):
    """JSON has whole numbers of any size, and Python's reads NaN and infinity."""
    for value in (10**400, np.nan, -np.inf):
        edit_manifest(bundle, "heads", 0, "figures", 0, "value", value=value)
        refused(bundle, r"figures\[0\]: value is not a finite number")


def test_a_manifest_without_a_field(bundle):
    """What is missing is named with its place."""
    content = json.loads((bundle / MANIFEST).read_text())
    del content["heads"][2]["labels"]
    (bundle / MANIFEST).write_text(json.dumps(content))
    refused(bundle, r"heads\[2\]: labels is missing")


FILES = ["encoder.xml", "encoder.bin", "tokenizer.json", "words.json", "heads/pos.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(bundle, name):
    """It is named."""
    (bundle / name).unlink()
    refused(bundle, f"missing file {name}")


def test_a_closed_folder(bundle, monkeypatch):
    """A folder that the user may not enter is told with the file that was looked for."""
    monkeypatch.chdir(bundle)  # nobody may enter the folders above
    bundle.chmod(0o755)
    heads = bundle / "heads"
    heads.chmod(0)
    try:
        with as_nobody(), pytest.raises(BundleError) as caught:
            open_bundle(Path())
    finally:
        heads.chmod(0o755)
    assert str(caught.value) == ".: heads/entities.safetensors cannot be read: Permission denied"


@contextlib.contextmanager
def as_nobody():
    """Give up the rights of root, where the tests have them."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["a", "x" * 64, "part-of_speech2", "polyhead"])
def test_names_that_heads_may_have(bundle, name):
    """All that the API promises, that of the model of all heads included."""
    edit_manifest(bundle, "heads", 1, "name", value=name)
    assert open_bundle(bundle).heads[1].name == name


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file(bundle, name):
    """One bit is enough."""
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    refused(bundle, f"{name} is damaged")


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_under_a_digest_of_its_own(bundle, name, part):
    """Sealed after the damage, it is found out when it is used."""
    content = (bundle / name).read_bytes()
    reseal(bundle, name, content[: int(len(content) * part)])
    refused(bundle, "encoder.xml is not a graph" if "encoder" in name else f"{name} is not a")


def reseal(bundle, name: str, content: bytes) -> None:
    """Replace a file and its digest."""
    manifest = open_bundle(bundle).manifest
    (bundle / name).write_bytes(content)
    seal_bundle(bundle, manifest)


@pytest.mark.parametrize("content", [b"[]", b"3", b"{}", b"[" * 100_000, b'{"rules": "other"}'])
def test_a_foreign_lexicon(bundle, content):
    """Any JSON that is not a lexicon of these rules."""
    reseal(bundle, "words.json", content)
    refused(bundle, "words.json is not a word lexicon")


def test_a_head_of_numbers_that_are_not_finite(bundle):
    """NaN would make every answer worthless."""
    reseal_head(bundle, lambda weight: weight * np.nan)
    refused(bundle, "head pos: out holds values that are not finite")


def test_a_head_for_another_encoder(bundle):
    """Its matrix takes vectors of another length."""
    reseal_head(bundle, lambda weight: np.repeat(weight, 2, axis=1))
    refused(bundle, "head pos: out does not take 16 values")


def test_a_head_of_half_precision_is_read(bundle):
    """Any type of number that numpy knows will do."""
    reseal_head(bundle, lambda weight: weight.astype(np.float16))
    Model.load(bundle, threads=1).close()


def reseal_head(bundle, change) -> None:
    """Change the matrix of a head, and its digest."""
    manifest = open_bundle(bundle).manifest
    file = bundle / "heads/pos.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "out.weight": change(tensors["out.weight"])}, file)
    seal_bundle(bundle, manifest)


def graph(output, names=INPUTS, rank: int = 1):
    """A graph over the encoder's inputs."""
    inputs = [ops.parameter([-1] * rank, np.int32, name=name) for name in names]
    model = ov.Model([output(inputs)], inputs, "foreign")
    for port, name in zip(model.inputs, names, strict=True):
        port.set_names({name})
    return model


def vectors(width: int, value: float = 0.0):
    """The sum of all inputs, repeated to so many values a token."""

    def build(inputs):
        total = inputs[0]
        for other in inputs[1:]:
            total = ops.add(total, other)
        table = ops.constant(np.full((1, width), value, np.float32))
        return ops.add(ops.unsqueeze(ops.convert(total, "f32"), -1), table)

    return build


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (graph(vectors(16), INPUTS[:2]), "no input segment_ids, shape_ids"),
        (graph(vectors(17)), "the encoder gives 17 values a token, not 16"),
        (graph(vectors(16), rank=2), "not a graph that OpenVINO can run"),
        (graph(lambda inputs: ops.reduce_sum(inputs[0], np.array([0]))), "not a graph"),
        (graph(vectors(16, np.nan)), "values that are not finite"),
    ],
)
def test_a_foreign_encoder(bundle, model, message):
    """A graph that OpenVINO reads, but which is no encoder of this bundle."""
    manifest = open_bundle(bundle).manifest
    ov.save_model(model, bundle / "encoder.xml", compress_to_fp16=False)
    seal_bundle(bundle, manifest)
    refused(bundle, message)


def test_files_that_are_not_used_are_verified_too(bundle):
    """Whatever lay in the bundle when it was sealed has to be there as it was."""
    manifest = open_bundle(bundle).manifest
    (bundle / "MODEL_CARD.md").write_text("card")
    seal_bundle(bundle, replace(manifest, version="2"))
    assert open_bundle(bundle).version == "2"
    (bundle / "MODEL_CARD.md").write_text("other card")
    refused(bundle, "MODEL_CARD.md is damaged")
