"""Which fast arithmetic the processor has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_CPUINFO = Path("/proc/cpuinfo")
_FLAG_LINES = ("flags", "Features")  # x86, ARM

_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Products of 8-bit numbers summed in 32 bits. What went before sums in 16, which overflow."""


@dataclass(frozen=True, slots=True)
class CpuFeatures:
    """What counts for the encoder."""

    name: str
    """The processor's name."""
    int8: bool
    """It multiplies 8-bit numbers exactly, and faster than it does floating point."""
    bf16: bool
    """It multiplies 16-bit floating point of the range of f32."""


def read_features(
    name: str, capabilities: Collection[str], cpuinfo: Path = _CPUINFO
) -> CpuFeatures:
    """Find out what the processor has.

    Args:
        name: the processor's name.
        capabilities: what OpenVINO calls its OPTIMIZATION_CAPABILITIES.
        cpuinfo: the kernel's list of flags. OpenVINO says INT8 of every processor, so the flags
            count where they can be read.
    """
    flags = _flags(cpuinfo)
    int8 = bool(flags & _INT8_FLAGS) if flags else "INT8" in capabilities
    return CpuFeatures(name, int8=int8, bf16="BF16" in capabilities)


def _flags(cpuinfo: Path) -> frozenset[str]:
    """Flags of the first processor; empty where they cannot be read."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in _FLAG_LINES:
            return frozenset(value.split())
    return frozenset()
