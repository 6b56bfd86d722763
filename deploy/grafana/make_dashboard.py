# ruff: noqa: INP001 - a script and its data, no package
"""Makes dashboards/polyhead.json of panels.py: `python deploy/grafana/make_dashboard.py`.

A test compares the two.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from panels import ROWS, WIDTH, Panel

TARGET = Path(__file__).parent / "dashboards" / "polyhead.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "title": "polyhead",
        "uid": "polyhead",
        "description": "Servers of polyhead: traffic, latency, queue, heads, bundles, processes.",
        "tags": ["polyhead"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": [_alerts()]},
        "panels": _panels(),
    }


def _variables() -> list[dict[str, Any]]:
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }
    return [
        source,
        _variable("job", "Job", "label_values(polyhead_build_info, job)"),
        _variable(
            "instance", "Instance", 'label_values(polyhead_build_info{job=~"$job"}, instance)'
        ),
        _variable(
            "task",
            "Head",
            'label_values(polyhead_head_documents_total{job=~"$job"}, task)',
            many=False,
        ),
    ]


def _variable(name: str, label: str, query: str, *, many: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "current": {"text": ["All"], "value": ["$__all"]} if many else {},
    }


def _alerts() -> dict[str, Any]:
    """Marks where alerts fired."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Polyhead.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}} {{task}}",
    }


def _panels() -> list[dict[str, Any]]:
    """Rows one below the other, their panels from left to right."""
    placed: list[dict[str, Any]] = []
    numbers = itertools.count(1)
    y = 0
    for title, panels in ROWS.items():
        at = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        row = {"type": "row", "title": title, "id": next(numbers), "gridPos": at}
        placed.append({**row, "collapsed": False, "panels": []})
        y += 1
        x = height = 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            at = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            placed.append({**_panel(panel), "id": next(numbers), "gridPos": at})
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": _targets(panel),
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
        **_EXTRAS.get(panel.kind, {}),
    }


def _targets(panel: Panel) -> list[dict[str, Any]]:
    at_once = panel.kind in ("stat", "table")
    forms = {"heatmap": "heatmap", "table": "table"}
    return [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "format": forms.get(panel.kind, "time_series"),
            "instant": at_once,
            "range": not at_once,
        }
        for number, query in enumerate(panel.queries)
    ]


def _field(panel: Panel) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.top is not None:
        field["max"] = panel.top
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stack else "none", "group": "A"}
        fill = 40 if panel.stack else 8
        field["custom"] = {"lineWidth": 1, "fillOpacity": fill, "stacking": stacking}
    return field


def _options(panel: Panel) -> dict[str, Any]:
    axis = {"yAxis": {"unit": panel.unit}} if panel.kind == "heatmap" else {}
    return {**_OPTIONS[panel.kind], **axis}


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "colorMode": "value",
        "graphMode": "none",
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
        "tooltip": {"mode": "single"},
    },
    "table": {"showHeader": True},
}
_EXTRAS: dict[str, dict[str, Any]] = {
    "table": {
        "transformations": [
            {"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}}
        ]
    }
}


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
