"""The command `polyhead`."""

from __future__ import annotations

import os
import sys

_HINT = (
    "polyhead: the command needs the package rich, which comes with polyhead[cli]: pip install rich"
)


def main() -> int:
    """Run the command line and give its exit code."""
    try:
        import rich  # noqa: F401, PLC0415 - an optional dependency
    except ImportError:
        sys.stderr.write(_HINT + "\n")
        return 2
    # Must be set before gRPC loads: its C core writes its own remarks to stderr otherwise.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from polyhead._cli._run import run  # noqa: PLC0415 - as above

    return run(sys.argv[1:])
