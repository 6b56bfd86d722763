"""Holds `polyhead-server plan` against a load: `python -m tests.bench.planned`.

Measures a text's cost as the plan does, then offers open-loop loads at shares of what one core can
do, and puts the p99 that the plan expects beside the one that was measured. A plan that is right
expects no less than there is. Nothing else should run on the machine, which needs two processors.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from polyhead_server.bundle import open_bundle
from polyhead_server.model import load_encoder
from polyhead_server.plan.calibrate import calibrate
from polyhead_server.plan.sizing import Demand, size
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench.calls import ONE, requests
from tests.bench.openloop import offer
from tests.bench.servers import address, serving
from tests.bench.texts import exact

_TEXTS = 64
_DEADLINE = 10.0
_SHARES = (0.2, 0.4, 0.6, 0.7)


def main() -> int:
    """Run it; 0 where the plan held at every share."""
    parser = argparse.ArgumentParser(prog="tests.bench.planned", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("build/planned.json"))
    options = parser.parse_args()
    rows = _rows(options)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["measured_p99"] <= row["planned_p99"] for row in rows) else 1


def _rows(options: argparse.Namespace) -> list[dict[str, float]]:
    speed = calibrate(options.bundle, options.length, options.length)
    loose = Demand(1.0, _DEADLINE, options.length, options.length, headroom=0.0, failures=0)
    full = 1 / size(loose, speed).service
    bundle = open_bundle(options.bundle)
    corpus = exact(load_encoder(bundle).encode, options.length, _TEXTS)
    tasks = [head.name for head in bundle.heads]
    rows = []
    with serving(options.bundle, "--threads=1") as server:
        calls = requests(corpus, ONE, tasks, address(server), _DEADLINE)
        for seed, share in enumerate(_SHARES):
            planned = size(replace(loose, rps=share * full), speed)
            answers = offer(
                address(server),
                calls,
                rate=share * full,
                seconds=options.seconds,
                deadline=_DEADLINE,
                seed=seed,
            )
            found = answers.figures()
            rows.append(
                {
                    "utilisation": planned.utilisation,
                    "texts_per_second": share * full,
                    "planned_p99": planned.p99,
                    "measured_p99": found["p99"],
                    "sent_late_p99": found["sent_late_p99"],
                }
            )
            print(" | ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()))
    return rows


if __name__ == "__main__":
    sys.exit(main())
