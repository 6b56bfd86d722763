"""Load from h2load (Debian's nghttp2-client), which costs less than any generator in Python.

It sends one prepared request over and over and does not see gRPC's status, so the server's own
counters are asked whether all went well.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.calls import ANNOTATE
from tests.bench.closed import LEAD_SECONDS, FailedCallError, Tally, fair_seconds
from tests.bench.servers import address, counts

if TYPE_CHECKING:
    from tests.bench.calls import Form
    from tests.bench.processes import Started
    from tests.bench.wire import Request

_LEAST_CALLS = 5
_LONGER = 4
"""Times the seconds in which too few calls came to an end."""
_HEADERS = ("content-type: application/grpc", "te: trailers")


def available() -> bool:
    """Whether it is installed."""
    return shutil.which("h2load") is not None


def press(server: Started, request: Request, form: Form, seconds: float) -> Tally:
    """Keep one call of the API under way, as often as the form says, for a while.

    Raises:
        FailedCallError: a call failed, or the server counted fewer than were answered.
    """
    before, server_cpu, own_cpu = counts(server), server.cpu_seconds(), _children_cpu()
    log = _run(address(server), form, seconds, request.body)
    server_cpu, own_cpu = server.cpu_seconds() - server_cpu, _children_cpu() - own_cpu
    ok, failed = (now - then for now, then in zip(counts(server), before, strict=True))
    # The ends of its warm-up and of its time cut calls short.
    if ok < len(log) or failed > 2 * form.in_flight:
        raise FailedCallError(f"h2load saw {len(log)} calls, the server {ok}; {failed} failed")
    if len(log) < _LEAST_CALLS:
        return press(server, request, form, _LONGER * seconds)
    fair = fair_seconds([began + took for began, took in log])
    share = fair / (LEAD_SECONDS + seconds)
    return Tally(
        seconds=fair,
        texts=len(log) * request.texts,
        tokens=len(log) * request.tokens,
        latencies=[took for _, took in log],
        server_cpu=server_cpu * share,
        generator_cpu=own_cpu * share,
    )


def _run(where: str, form: Form, seconds: float, body: bytes) -> list[tuple[float, float]]:
    """When each call began and how long it took, in seconds."""
    headers = [part for header in _HEADERS for part in ("-H", header)]
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder) / "body", Path(folder) / "log"
        data.write_bytes(body)
        command = [
            *("h2load", f"http://{where}{ANNOTATE}", "-d", str(data), *headers),
            *("-c", str(form.connections), "-m", str(max(1, form.in_flight // form.connections))),
            *("-t", "1", "-D", f"{round(seconds * 1e3)}ms", "--log-file", str(log)),
            f"--warm-up-time={round(LEAD_SECONDS * 1e3)}ms",
        ]
        subprocess.run(command, check=True, capture_output=True)
        lines = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    return [(int(begun) / 1e6, int(took) / 1e6) for begun, _, took in lines]


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
