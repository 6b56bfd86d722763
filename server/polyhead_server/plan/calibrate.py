"""Measures what a text costs here: a server of its own, on one thread, asked by real calls."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead import Client, PolyheadError
from polyhead_server.errors import StartError
from polyhead_server.plan.measured import line_through
from polyhead_server.plan.sizing import Speed

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT_WORDS = 4
_WARM_CALLS = 20
_LEAST_CALLS = 100
_WORD = "the "
_SERVE = ("serve", "--port=0", "--metrics-port=-1", "--threads=1", "--log-level=error")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Calls of one length, one after the other."""

    tokens: int
    processor: float
    """Seconds of the server's processor time a call."""
    seconds: tuple[float, ...]
    """Of each call, sorted."""


def calibrate(bundle: Path, length: int, longest: int, seconds: float = 2.0) -> Speed:
    """The speed of one core of this machine with a bundle, in processor time.

    Processor time holds on a machine that does other things, too; what others take shows in the
    jitter alone.

    Args:
        bundle: what to serve.
        length: tokens of the texts of which the jitter is taken.
        longest: tokens of the longest texts.
        seconds: time for each of three lengths.

    Raises:
        StartError: no server can be had here.
    """
    words = sorted({_SHORT_WORDS, length, max(longest, 2 * length)})
    with _server(bundle) as (process, address), Client(address) as client:
        stretches = {count: _stretch(client, process.pid, count, seconds) for count in words}
    points = [(float(one.tokens), one.processor) for one in stretches.values()]
    path, token = line_through(points)
    usual = stretches[length].seconds
    jitter = usual[len(usual) * 99 // 100] - usual[len(usual) // 2]
    return Speed((0.0, token, 0.0), path, jitter, source=f"this machine ({platform.machine()})")


@contextlib.contextmanager
def _server(bundle: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    if not Path("/proc/self/stat").exists():
        raise StartError("calibration reads processor times from /proc, which is not there")
    command = (sys.executable, "-m", "polyhead_server", *_SERVE, f"--bundle={bundle}")
    # What a server is told by its environment, such as to cache, is none of this one's business.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("POLYHEAD_", "OTEL_"))}
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, text=True, env=own
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            words = process.stdout.readline().split()
            if "on" not in words:
                raise StartError("the server to be measured did not start: see its words")
            yield process, words[words.index("on") + 1]
        finally:
            process.terminate()


def _stretch(client: Client, pid: int, words: int, seconds: float) -> _Stretch:
    text = _WORD * words
    try:
        tokens = client.annotate(text).tokens
        for _ in range(_WARM_CALLS):
            client.annotate(text)
        taken: list[float] = []
        before, end = _processor_seconds(pid), time.perf_counter() + seconds
        while time.perf_counter() < end or len(taken) < _LEAST_CALLS:
            began = time.perf_counter()
            client.annotate(text)
            taken.append(time.perf_counter() - began)
    except PolyheadError as error:
        raise StartError(f"the server to be measured failed: {error}") from None
    spent = _processor_seconds(pid) - before
    return _Stretch(tokens, spent / len(taken), tuple(sorted(taken)))


def _processor_seconds(pid: int) -> float:
    """Time of all threads, in ticks of 10 milliseconds."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
