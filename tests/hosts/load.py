"""A steady load from one host, as a process: `python -m tests.hosts.load RATE WAY=TARGET...`.

Calls begin when they are due, whether or not others have ended, by each way in turn. It says
`ready` once every way has answered; at SIGTERM it begins no further call, waits for those under
way, and ends. Each call is a line of JSON on standard output, once it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from polyhead import AsyncClient, ChannelOptions, PolyheadError

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = "The fans in Berlin loved it."
_TIMEOUT = 15.0
_KEEPALIVE = ChannelOptions(keepalive_seconds=2.0, keepalive_timeout_seconds=2.0)
"""A server that was cut off is to be noticed soon."""


@dataclass(frozen=True, slots=True)
class Call:
    """What became of one call."""

    way: str
    due: float
    """Monotonic time, which all processes of this machine share."""
    seconds: float
    """From when it was due to its answer."""
    version: str
    """Of the bundle that answered; empty where none did."""
    error: str
    """Why it was lost; empty where it was not."""


async def call(way: str, client: AsyncClient, due: float) -> Call:
    """Make one call."""
    version, error = "", ""
    try:
        annotation = await client.annotate(TEXT)
        version = annotation.info.bundle_version
    except PolyheadError as failure:
        error = f"{failure.code}: {failure.message}"
    return Call(way, due, time.monotonic() - due, version, error)


async def load(rate: float, ways: dict[str, AsyncClient], stop: asyncio.Event) -> None:
    """Call at a rate until told to stop."""
    for client in ways.values():
        await client.wait_ready(_TIMEOUT)
        await client.annotate(TEXT)
    print("ready", flush=True)
    due = time.monotonic()
    async with asyncio.TaskGroup() as calls:
        while not stop.is_set():
            for way, client in ways.items():
                due += 1 / rate / len(ways)
                await asyncio.sleep(due - time.monotonic())
                calls.create_task(_tell(way, client, due))


async def _tell(way: str, client: AsyncClient, due: float) -> None:
    print(json.dumps(asdict(await call(way, client, due))), flush=True)


async def main(arguments: Sequence[str]) -> None:
    """Run the load that the arguments describe."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    targets = dict(argument.split("=", 1) for argument in arguments[1:])
    async with contextlib.AsyncExitStack() as clients:
        ways = {
            way: await clients.enter_async_context(
                AsyncClient(target, timeout=_TIMEOUT, channel=_KEEPALIVE)
            )
            for way, target in targets.items()
        }
        await load(float(arguments[0]), ways, stop)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
