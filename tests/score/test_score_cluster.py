"""Scoring by Ray Data on a cluster of two nodes, one of which is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial

import pytest
from scoring_data import ALL_ERRORS, ALL_IDS, content, errors, files_of, ids, order_for

from polyhead_server.score.alone import score_alone
from polyhead_server.score.cluster import Pool, score_on_cluster
from polyhead_server.score.errors import ScoreError
from polyhead_server.score.run import run

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


KILLED, STOPPED = signal.SIGKILL, signal.SIGTERM


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - starts with the variables of make

    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**small, "include_dashboard": False, "node_ip_address": "127.0.0.1"},
    )
    cluster.second = cluster.add_node(**small)
    yield cluster
    cluster.shutdown()


def on(cluster, actors=2):
    return partial(score_on_cluster, pool=Pool(cluster.address, actors))


def test_a_node_that_has_another_bundle_is_named(cluster, tiny_bundle, inputs, tmp_path):
    """Every actor checks the digest of its node's bundle, and the run ends with one clear line."""
    order = order_for(tiny_bundle, tmp_path)
    other = type(order)(tiny_bundle, "0" * 64, order.tasks, tmp_path, order.fields)
    with pytest.raises(ScoreError, match="another bundle here"):
        run(other, files_of(inputs, tmp_path), 10, on(cluster, 1))
    assert not list(tmp_path.glob("part-*"))


@pytest.mark.parametrize(("number", "code"), [(KILLED, -9), (STOPPED, 130)])
def test_a_driver_that_ends_early_loses_nothing(
    cluster, tiny_bundle, inputs, tmp_path, number, code
):
    """What was finished for a driver killed or stopped is kept; the next one does the rest."""
    given = ["score", tiny_bundle, "--input", inputs, "--output", tmp_path, "--actors", "1"]
    given += ["--address", cluster.address, "--fragment-rows", "4"]
    command = [sys.executable, "-m", "polyhead_server", *map(str, given)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        told = next(line for line in process.stderr if "fragments" in line)
        process.send_signal(number)
        process.stderr.read()
    assert told.startswith("1 of ")
    assert process.returncode == code
    kept = {path.stem for path in (tmp_path / "_journal").glob("*[0-9].json")}
    assert kept
    again = []
    files = files_of(inputs, tmp_path)
    alone = partial(score_alone, threads=1)
    run(order_for(tiny_bundle, tmp_path), files, 4, alone, lambda done: again.append(done.name))
    assert not kept & set(again)
    assert ids(tmp_path) == ALL_IDS
    assert errors(tmp_path) == ALL_ERRORS


def test_each_row_once_though_a_node_is_killed(cluster, tiny_bundle, inputs, tmp_path):
    """With a node killed at work, all is as one process makes it, to the byte."""
    nodes = set()

    def kill(done):
        nodes.add(done.node)
        if done.node == cluster.second.node_id and cluster.second in cluster.worker_nodes:
            cluster.remove_node(cluster.second, allow_graceful=False)

    many, one = tmp_path / "many", tmp_path / "one"
    run(order_for(tiny_bundle, many), files_of(inputs, many), 4, on(cluster), kill)
    assert len(nodes) == 2
    assert not cluster.worker_nodes
    assert ids(many) == ALL_IDS
    assert errors(many) == ALL_ERRORS
    alone = partial(score_alone, threads=1)
    run(order_for(tiny_bundle, one), files_of(inputs, one), 4, alone)
    assert content(many) == content(one)
    assert not (many / "_unfinished").exists()
