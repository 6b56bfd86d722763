"""Run as `python -m tests.chaos`: every trial at length, a table, and build/chaos.json.

Ends with status 1 where a trial found a problem. Trials for which this machine lacks rights or
libraries are named as left out, never passed over in silence.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from polyhead_server.settings import DEFAULT_BUNDLE
from tests.chaos.size import LONG, SHORT
from tests.chaos.trials import TRIALS, WITH_RIGHTS, able, table


def main() -> None:
    """Run trials and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*TRIALS, *WITH_RIGHTS], help="run these")
    parser.add_argument("--short", action="store_true", help="as little as CI does")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"))
    options = parser.parse_args()
    size = SHORT if options.short else LONG
    here = TRIALS | able()
    results, left_out = [], sorted(WITH_RIGHTS.keys() - here.keys())
    for name, run in here.items():
        if options.only and name not in options.only:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            result = run(options.bundle, Path(folder), size)
        results.append(result)
        found = "; ".join(result.problems) or "passed"
        print(f"{name}: {found} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"\n{table(results)}")
    for name in left_out:
        print(f"left out, for want of rights or libraries: {name}")
    content = {"trials": [result.plain() for result in results], "left_out": left_out}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(result.problems for result in results))


if __name__ == "__main__":
    main()
