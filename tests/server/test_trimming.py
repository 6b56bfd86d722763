"""Memory is asked for while there is more than there was, and not without need."""

from __future__ import annotations

import asyncio
import ctypes
import sys

import pytest

from polyhead_server.trimming import Trimming, resident_bytes

MEBIBYTE = 2**20
PATIENCE = 10.0


class Memory:
    """A process whose memory is what we say."""

    def __init__(self, mebibytes):
        self.used = self.held = mebibytes * MEBIBYTE
        self.asked = 0

    def resident(self):
        return self.held

    def give_back(self):
        self.asked += 1
        self.held = self.used


async def watched(memory):
    trimming = Trimming(memory.resident, memory.give_back, seconds=60.0)
    trimming.start()
    return trimming


async def test_what_a_burst_left_is_asked_for():
    """Also where the first question came while the burst went on."""
    memory = Memory(300)
    trimming = await watched(memory)
    memory.used = memory.held = 400 * MEBIBYTE
    await trimming.look()
    assert (memory.asked, memory.held) == (1, 400 * MEBIBYTE)
    memory.used = 301 * MEBIBYTE
    await trimming.look()
    assert (memory.asked, memory.held) == (2, 301 * MEBIBYTE)
    await trimming.look()
    assert memory.asked == 2
    await trimming.close()


async def test_little_growth_is_let_be():
    """And a process that has become smaller is measured by that."""
    memory = Memory(300)
    trimming = await watched(memory)
    memory.held = 305 * MEBIBYTE
    await trimming.look()
    assert memory.asked == 0
    memory.used = memory.held = 200 * MEBIBYTE
    await trimming.look()
    memory.held = 250 * MEBIBYTE
    await trimming.look()
    assert memory.asked == 1
    await trimming.close()


async def test_it_looks_by_itself_until_closed():
    """Again and again."""
    memory = Memory(100)
    trimming = Trimming(memory.resident, memory.give_back, seconds=0.01)
    trimming.start()
    for times in (1, 2):
        memory.held = 200 * MEBIBYTE
        async with asyncio.timeout(PATIENCE):
            while memory.asked < times:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    await trimming.close()
    asked, memory.held = memory.asked, 200 * MEBIBYTE
    await asyncio.sleep(0.05)
    assert memory.asked == asked


async def test_where_nobody_knows_nothing_is_done():
    """As on systems without /proc."""
    memory = Memory(0)
    trimming = await watched(memory)
    await trimming.close()
    assert memory.asked == 0


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_what_is_measured_is_this_process():
    """A large block makes it grow by about its size."""
    before = resident_bytes()
    block = ctypes.create_string_buffer(b"x" * (64 * MEBIBYTE))
    assert resident_bytes() - before > 60 * MEBIBYTE
    del block
