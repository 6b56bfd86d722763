"""Holds processes to a part of a core: hosts that share a processor have the same of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PERIOD = 100_000
_OLD, _NEW = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def held_to(part: float, pids: Sequence[int]) -> Iterator[None]:
    """Give each process so much of one core while the block runs.

    Raises:
        OSError: control groups cannot be written here.
    """
    with contextlib.ExitStack() as groups:
        for pid in pids:
            groups.enter_context(_group(pid, int(part * _PERIOD)))
        yield


@contextlib.contextmanager
def _group(pid: int, quota: int) -> Iterator[None]:
    old = _OLD.is_dir()
    root = _OLD if old else _NEW
    group = root / f"polyhead-{os.getpid()}-{pid}"
    group.mkdir()
    try:
        if old:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            (root / "cgroup.procs").write_text(str(pid))
        group.rmdir()
