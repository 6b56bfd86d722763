"""As many calls as get through, from one host: CALLERS SECONDS TARGET."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from polyhead import AsyncClient
from tests.hosts.load import TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

_WARM_SECONDS = 1.0


async def main(arguments: Sequence[str]) -> None:
    """Let so many callers call one after the other, and tell the calls a second."""
    callers, seconds, target = int(arguments[0]), float(arguments[1]), arguments[2]
    counted = time.monotonic() + _WARM_SECONDS
    end = counted + seconds
    ended = 0

    async def call(client: AsyncClient) -> None:
        nonlocal ended
        while (now := time.monotonic()) < end:
            await client.annotate(TEXT)
            ended += now >= counted

    async with AsyncClient(target) as client, asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call(client))
    print(f"flood {ended / seconds}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
