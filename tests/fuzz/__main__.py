"""Run as `python -m tests.fuzz --requests 1000000`: a campaign, its figures, and build/fuzz.json.

Ends with status 1 where an answer was not what it should be. The same seed sends the same requests,
though not in the same order: many are under way at a time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from polyhead_server.settings import DEFAULT_BUNDLE
from tests.fuzz import campaign, decoders

_ROUNDS_A_REQUEST = 0.1


def main() -> None:
    """Fuzz a live server, then what reads strangers' bytes in this process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--atheris-seconds", type=float, default=30.0, help="for each reader")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz.json"))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = campaign.run(options.bundle, Path(folder), options.requests, options.seed)
    told = {name: value for name, value in found.items() if name != "looks"}
    print(json.dumps(told, indent=1), flush=True)
    rounds = int(options.requests * _ROUNDS_A_REQUEST)
    found["decoders"] = decoders.try_readers(rounds, random.Random(options.seed), 200)
    if options.atheris_seconds:
        found["atheris"] = decoders.try_with_atheris(options.atheris_seconds, 100, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"atheris": found.get("atheris", {})}, indent=1))
    broken = [told for told in found.get("atheris", {}).values() if "status 0" not in told]
    sys.exit(bool(found["failures"] or broken))


if __name__ == "__main__":
    main()
