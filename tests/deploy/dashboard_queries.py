"""The dashboard's panels with what Grafana would put for its variables."""

from __future__ import annotations

import json
from typing import Any

from chart import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "polyhead.json"


def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def panels() -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def filled_in(expr: str, interval: str, **variables: str) -> str:
    """An expression with all jobs, instances and heads, unless named."""
    for name in ("job", "instance", "task"):
        expr = expr.replace(f"${name}", variables.get(name, ".*"))
    return expr.replace("$__rate_interval", interval)
