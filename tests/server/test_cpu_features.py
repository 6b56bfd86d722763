"""What the processor has is read from what the kernel and OpenVINO say of it."""

import pytest

from polyhead_server.cpu_features import CpuFeatures, read_features
from polyhead_server.engine import EngineOptions
from polyhead_server.errors import StartError
from polyhead_server.openvino_engine import Arithmetic, choose_arithmetic

OLD = "processor\t: 0\nflags\t\t: fpu sse4_2 avx2 avx512f avx512bw\nbugs\t\t: none\n"
NEW = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp bf16\n"

FAST = CpuFeatures("fast", int8=True, bf16=True)
NO_BF16 = CpuFeatures("older", int8=True, bf16=False)
PLAIN = CpuFeatures("old", int8=False, bf16=False)


@pytest.fixture
def features(tmp_path):
    def read(cpuinfo, *capabilities):
        file = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            file.write_text(cpuinfo)
        return read_features("cpu", capabilities, file)

    return read


@pytest.mark.parametrize(("cpuinfo", "int8"), [(OLD, False), (NEW, True), (ARM, True)])
def test_int8_by_the_kernels_flags(features, cpuinfo, int8):
    """OpenVINO says INT8 of every processor; only exact 8-bit products count."""
    assert features(cpuinfo, "FP32", "INT8").int8 is int8


def test_int8_where_there_are_no_flags(features):
    """Other systems do not list them: OpenVINO's word is taken."""
    assert features(None, "FP32", "INT8").int8
    assert not features("no such line\n", "FP32").int8


def test_bf16_by_openvino(features):
    """It says so only where it is fast."""
    assert features(NEW, "BF16", "FP32").bf16
    assert not features(NEW, "FP32").bf16


@pytest.mark.parametrize(
    ("cpu", "precision", "chosen"),
    [
        (FAST, "auto", Arithmetic(int8=True, floats="bf16")),
        (FAST, "f32", Arithmetic(int8=True, floats="f32")),
        (NO_BF16, "auto", Arithmetic(int8=True, floats="f32")),
        (PLAIN, "auto", Arithmetic(int8=False, floats="f32")),
    ],
)
def test_what_a_quantised_bundle_is_computed_in(cpu, precision, chosen):
    """The fastest that the processor does right, unless f32 is asked for."""
    assert choose_arithmetic(EngineOptions(precision=precision), cpu, exact=False) == chosen


def test_a_bundle_in_full_precision_is_computed_in_it():
    """bf16 is taken on demand only."""
    for precision, floats in (("auto", "f32"), ("bf16", "bf16")):
        options = EngineOptions(precision=precision)
        assert choose_arithmetic(options, FAST, exact=True) == Arithmetic(int8=False, floats=floats)


def test_bf16_that_is_not_there_is_refused():
    """Asked for by name it is no wish."""
    with pytest.raises(StartError, match="older has no bf16"):
        choose_arithmetic(EngineOptions(precision="bf16"), NO_BF16, exact=False)
