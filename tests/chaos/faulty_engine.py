"""An engine that fails on demand: what it does stands in a file that it reads before each run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from polyhead_server.openvino_engine import open_engine as open_real_engine

ORDERS = "CHAOS_ENGINE_ORDERS"
"""Environment variable with the file's name."""
SECRET = "inner-secret-of-the-engine"  # noqa: S105 - it stands for what no caller may see


def open_engine(bundle, options):
    """The default engine, with faults."""
    return FaultyEngine(open_real_engine(bundle, options), Path(os.environ[ORDERS]))


class FaultyEngine:
    """Does as the real one, unless its orders are otherwise."""

    def __init__(self, engine, orders: Path) -> None:
        self._engine = engine
        self._orders = orders
        self._runs = 0

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def infer(self, batch):
        """Run a batch, or raise, or hang until the order is taken back."""
        self._runs += 1
        order = self._orders.read_text()
        if order == "raise" or (order == "raise at times" and self._runs % 3 == 0):
            raise RuntimeError(SECRET)
        if order == "exit":
            raise SystemExit(SECRET)
        while order == "hang" and self._orders.read_text() == "hang":
            time.sleep(0.02)
        return self._engine.infer(batch)


def install(folder: Path) -> dict[str, str]:
    """Make the engine `faulty` known by its entry point; the environment that it needs."""
    info = folder / "chaos_engine-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos-engine\nVersion: 0\n")
    entry = "[polyhead_server.engines]\nfaulty = chaos_engine:open_engine\n"
    (info / "entry_points.txt").write_text(entry)
    (folder / "chaos_engine.py").write_text(Path(__file__).read_text())
    orders = folder / "orders"
    orders.write_text("")
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {ORDERS: str(orders), "PYTHONPATH": path}
