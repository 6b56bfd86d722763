"""How many processors this process may really use."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNT = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")


def usable_cpus(mount: Path = _MOUNT, membership: Path = _SELF) -> int:
    """Processors that the scheduler's affinity and the container's quota leave to this process.

    A quota is rounded down, since a thread more than the quota is throttled.

    Args:
        mount: where the cgroup file systems are mounted.
        membership: the file that lists this process's cgroups.

    Returns:
        At least 1.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = min(_quotas(mount, membership), default=float("inf"))
    return max(1, int(min(allowed or 1, quota)))


def shared(cpus: int, workers: int) -> tuple[int, ...]:
    """Threads of each of several processes that share processors; at least 1, even if too many."""
    each, more = divmod(cpus, workers)
    return tuple(max(1, each + (index < more)) for index in range(workers))


def _quotas(mount: Path, membership: Path) -> Iterator[float]:
    """Every quota, in processors, of the groups that the process is in and of their parents."""
    for line in _lines(membership):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            yield from (q for place in _upward(mount, group) for q in _version_2(place))
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                yield from (q for place in _upward(mount / name, group) for q in _version_1(place))


def _upward(root: Path, group: str) -> Iterator[Path]:
    """The group's folder and its parents'. In a container the group's own may be the root."""
    path = PurePosixPath(group.lstrip("/"))
    for step in (path, *path.parents):
        yield root / step


def _version_2(place: Path) -> Iterator[float]:
    for line in _lines(place / "cpu.max"):
        quota, _, period = line.partition(" ")
        if quota.isdigit() and period.isdigit():
            yield int(quota) / int(period)


def _version_1(place: Path) -> Iterator[float]:
    quota = _lines(place / "cpu.cfs_quota_us")
    period = _lines(place / "cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        yield int(quota[0]) / int(period[0])


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="surrogateescape").splitlines()
    except OSError:
        return []
