"""Threads are sized from what the container really may use."""

from __future__ import annotations

import os

import pytest

from polyhead_server.cpus import shared, usable_cpus

CPUS = len(os.sched_getaffinity(0))


@pytest.fixture
def cgroup(tmp_path):
    """Writes files of a made-up cgroup file system and reads the processors from it."""

    def read(membership, **files):
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            file = tmp_path / "fs" / name.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return usable_cpus(tmp_path / "fs", tmp_path / "membership")

    return read


def test_no_cgroup(tmp_path):
    """Without cgroups the affinity counts."""
    assert usable_cpus(tmp_path, tmp_path / "none") == CPUS


def test_version_2_quota(cgroup):
    """The quota of the process's own group counts, rounded down, at least one."""
    assert cgroup("0::/app\n", app__cpu_dot_max="100000 100000\n") == 1
    assert cgroup("0::/app\n", app__cpu_dot_max="50000 100000\n") == 1


def test_version_2_quota_of_a_parent(cgroup):
    """A parent's quota binds as well."""
    assert (
        cgroup(
            "0::/pod/app\n", pod__cpu_dot_max="100000 100000", pod__app__cpu_dot_max="max 100000"
        )
        == 1
    )


def test_version_2_in_a_container(cgroup):
    """Where the group is not to be seen, the root of the mount is the container's own."""
    assert cgroup("0::/docker/abc\n", cpu_dot_max="150000 100000\n") == 1


def test_a_group_with_any_name(cgroup):
    """A name that is not ASCII is no reason not to start."""
    assert cgroup("0::/größe\n", größe__cpu_dot_max="100000 100000\n") == 1


def test_version_2_no_quota(cgroup):
    """Max is no quota."""
    assert cgroup("0::/\n", cpu_dot_max="max 100000\n") == CPUS


def test_large_quota(cgroup):
    """A quota beyond the affinity gives no more processors."""
    assert cgroup("0::/\n", cpu_dot_max="99900000 100000\n") == CPUS


def test_version_1_quota(cgroup):
    """Version 1 keeps quota and period in two files."""
    files = {"cpu__app__cpu.cfs_quota_us": "100000\n", "cpu__app__cpu.cfs_period_us": "100000\n"}
    assert cgroup("4:cpu,cpuacct:/app\n3:memory:/app\n", **files) == 1


def test_version_1_no_quota(cgroup):
    """-1 is no quota."""
    files = {"cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n"}
    assert cgroup("4:cpu,cpuacct:/\n", **files) == CPUS


@pytest.mark.parametrize(
    ("cpus", "workers", "threads"),
    [(2, 2, (1, 1)), (8, 2, (4, 4)), (5, 2, (3, 2)), (1, 2, (1, 1)), (4, 1, (4,))],
)
def test_shared(cpus, workers, threads):
    """Workers share the processors out; each has at least one."""
    assert shared(cpus, workers) == threads
