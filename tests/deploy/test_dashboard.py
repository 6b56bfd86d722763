"""The dashboard is what its panels make, is right by Grafana's own types, and asks in PromQL."""

from __future__ import annotations

import subprocess
import sys

import promql_parser
import pytest
from chart import ROOT
from dashboard_queries import DASHBOARD, dashboard, filled_in, panels
from grafana_foundation_sdk.models.dashboard import Dashboard

from polyhead_server.metrics import Metrics
from polyhead_server.rollout.figures import BundleFigures, ReloadFigures


def test_made_of_its_panels():
    """The file is what `make_dashboard.py` writes."""
    program = "import make_dashboard, sys; sys.stdout.write(make_dashboard.text())"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "deploy" / "grafana",
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == DASHBOARD.read_text(encoding="utf-8")


def test_grafanas_types_take_it():
    """Read and written by Grafana's own types, every panel is still there."""
    read = Dashboard.from_json(dashboard())
    assert read.title == "polyhead"
    assert len(read.panels) == len(dashboard()["panels"])
    names = [variable.name for variable in read.templating.list_val]
    assert names == ["datasource", "job", "instance", "task"]


def test_nothing_lies_over_another():
    """No two panels share a cell of the grid, and none leaves it; numbers are unique."""
    taken = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        taken |= cells
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_panels_ask_in_promql(panel):
    """Every expression can be parsed, and is bound to the variables and the data source."""
    assert panel["description"]
    assert panel["datasource"]["uid"] == "${datasource}"
    for target in panel["targets"]:
        promql_parser.parse(filled_in(target["expr"], "1m"))
        assert "$job" in target["expr"]


def test_every_metric_is_shown():
    """What the server counts of its own can be seen on the dashboard."""
    metrics = Metrics()
    BundleFigures(metrics.registry)
    ReloadFigures(metrics.registry)
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    unseen = {
        family.name
        for family in metrics.registry.collect()
        if family.name.startswith("polyhead_") and family.name not in shown
    }
    assert unseen <= {
        *("polyhead_last_reload_successful", "polyhead_bundle_loaded_timestamp_seconds")
    }
