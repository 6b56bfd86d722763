"""Run by `decoders.try_with_atheris`: NAME of the reader, corpus, and flags of libFuzzer."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

_WATCHED = ["polyhead_server.received", "polyhead_server.bundle", "polyhead_server.fields"]
_WATCHED += ["polyhead_server.inference.json_wire", "polyhead_server.inference.requests"]

with atheris.instrument_imports(include=_WATCHED):
    from tests.fuzz.decoders import readers


def main() -> None:
    """Search until the time is up."""
    name, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        atheris.Setup([sys.argv[0], *rest], readers(Path(folder))[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
