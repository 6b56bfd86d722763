"""A server refuses a machine that computes its bundle wrong, in one line."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from polyhead_server.bundle import open_bundle, seal_bundle
from polyhead_server.cli import main
from polyhead_server.cpu_features import CpuFeatures
from polyhead_server.engine import EngineOptions
from polyhead_server.errors import BundleError, StartError
from polyhead_server.model import Model
from polyhead_server.openvino_engine import OpenVinoEngine
from polyhead_server.self_check import CHECK_FILE, check_engine, write_reference

BF16 = CpuFeatures("any", int8=True, bf16=True)


@pytest.fixture
def checked(tiny_bundle, tmp_path):
    """A copy of the bundle with the vectors of its own engine, as export writes them."""
    copy = tmp_path / "checked"
    shutil.copytree(tiny_bundle, copy)
    model = Model.load(copy, threads=1)
    batch = model.check_batch()
    vectors = model.engine.infer(batch)[: batch.used].copy()
    model.close()
    write_reference(copy / CHECK_FILE, batch, vectors, error=0.0)
    manifest = model.bundle.manifest
    seal_bundle(copy, replace(manifest, encoder=replace(manifest.encoder, check=CHECK_FILE)))
    return copy


def tampered(bundle, **changes):
    """The bundle with changed vectors, and digests that fit them."""
    manifest = open_bundle(bundle).manifest
    arrays = load_file(bundle / CHECK_FILE)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    save_file(arrays, bundle / CHECK_FILE)
    seal_bundle(bundle, manifest)
    return bundle


def check(bundle):
    model = Model.load(bundle, threads=1)
    try:
        return check_engine(model)
    finally:
        model.close()


def test_the_vectors_of_the_export_are_met(checked):
    """Exactly, on the machine that wrote them."""
    assert check(checked) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda vectors: vectors[::-1].copy(),
        lambda vectors: vectors * np.float32(1.5),
        lambda vectors: np.where(np.arange(len(vectors)) < 3, np.nan, vectors.T).T.astype("f4"),
    ],
    ids=["others", "too long", "not finite"],
)
def test_other_vectors_are_refused(checked, change):
    """Whatever way they are wrong."""
    with pytest.raises(StartError, match="does not compute this bundle aright with openvino in"):
        check(tampered(checked, vectors=change))


def test_a_server_that_computes_wrong_does_not_start(checked, capsys):
    """One line on standard error, exit status 2, and nothing that looks ready."""
    bundle = tampered(checked, vectors=lambda vectors: -vectors)
    assert main(["serve", "--port=0", "--metrics-port=-1", "--bundle", str(bundle)]) == 2
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("polyhead-server")]
    assert "does not compute this bundle aright" in line
    assert "2 off, 0.1 at most" in line
    assert out == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"vectors": lambda vectors: vectors[:, :3].copy()},
        {"shape_ids": lambda column: column[:5].copy()},
        {"starts": lambda starts: starts + 9999},
        {"tolerance": lambda value: value[:0]},
    ],
    ids=["width", "length", "starts", "nothing"],
)
def test_vectors_that_are_none(checked, changes):
    """The bundle is to blame, not the machine."""
    with pytest.raises(BundleError, match=CHECK_FILE):
        check(tampered(checked, **changes))


def test_a_bundle_without_vectors_in_full_precision_needs_no_check(tiny_bundle):
    """There is nothing that could be compared."""
    assert check(tiny_bundle) is None


def test_a_bundle_without_vectors_is_compared_with_f32(tiny_bundle):
    """What is computed in less is close to what is not, or refused."""
    model = Model.load(tiny_bundle, threads=1)
    model.engine.close()
    graph = tiny_bundle / "encoder.xml"
    model.engine = OpenVinoEngine(graph, EngineOptions(threads=1), hidden_size=16, cpu=BF16)
    assert check_engine(model) < 0.05
    wrong = model.engine.infer
    model.engine.infer = lambda batch: wrong(batch)[::-1]
    with pytest.raises(StartError):
        check_engine(model)
    model.close()
