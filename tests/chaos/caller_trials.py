"""Callers with bad manners: silent, slow, many, rash, and too much of a good thing."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import select
import time
from collections import Counter
from typing import TYPE_CHECKING

import grpc

from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from tests.bench.wire import PREFACE, frame, grpc_headers, message
from tests.chaos.frames import (
    DATA,
    END_HEADERS,
    HEADERS,
    PATH,
    call,
    close_all,
    connect,
    reset,
    settings,
)
from tests.chaos.server import OWN_CONNECTION, REQUEST, Server, seconds_until
from tests.chaos.trial import DOCUMENTED, Result, Trial

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.chaos.size import Size

_BODY = REQUEST.SerializeToString()
_BURST = 50
"""Calls that a caller begins and takes back in one write."""


def rude(bundle: Path, folder: Path, size: Size) -> Result:
    """Connections on which nothing comes, or half of something, or nothing is ever read."""
    with Server(bundle, folder) as server, Trial("silent and slow clients", server) as trial:
        with trial.calls():
            openings = _openings(server.address)
            held = [
                connect(server.place, opening)
                for opening in openings.values()
                for _ in range(size.rude)
            ]
            dripping = [connect(server.place) for _ in range(size.rude)]
            drip = PREFACE + settings() + call(server.address, 1, _BODY)
            end = time.monotonic() + size.seconds
            for byte in drip:
                for sock in dripping if time.monotonic() < end else ():
                    with contextlib.suppress(OSError):
                        sock.sendall(bytes((byte,)))
                time.sleep(size.seconds / len(drip))
            close_all([*held, *dripping])
        trial.result.faults = {"kinds": len(openings) + 1, "each": size.rude}
    return trial.result


def _openings(address: str) -> dict[str, bytes]:
    block = grpc_headers(PATH, address)
    whole = frame(HEADERS, END_HEADERS, 1, block)
    unread = b"".join(call(address, stream, _BODY) for stream in range(1, 41, 2))
    return {
        "nothing": b"",
        "half a preface": PREFACE[:12],
        "no settings": PREFACE,
        "half a frame": PREFACE + settings() + whole[:7],
        "headers without end": PREFACE + settings() + frame(HEADERS, 0, 1, block),
        "no body": PREFACE + settings() + whole,
        "half a body": PREFACE + settings() + whole + frame(DATA, 0, 1, message(_BODY)[:9]),
        "answers never read": PREFACE + settings(window=0) + unread,
        "another protocol": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(64),
    }


def crowd(bundle: Path, folder: Path, size: Size) -> Result:
    """Thousands of connections are open at a time; calls on others are answered meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    first = PREFACE + settings()
    held: list[socket.socket] = []
    try:
        with Server(bundle, folder) as server, Trial("many connections", server) as trial:
            start = time.monotonic()
            with trial.calls():
                while len(held) < size.connections:
                    held.append(connect(server.place, first))
                opened = time.monotonic() - start
                _await_settings(held[-1])
                files = server.held().files
                memory = server.held().mebibytes
                time.sleep(0.5)
                status = Counter(server.call() for _ in range(5))
                close_all(held)
            trial.expect(files >= size.connections, f"only {files} files are open")
            trial.expect(status == {"OK": 5}, f"calls in the crowd: {dict(status)}")
            trial.result.faults = {
                "connections": len(held),
                "opened_seconds": round(opened, 2),
                "mebibytes": memory,
            }
    finally:
        close_all(held)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return trial.result


def _await_settings(sock: socket.socket) -> None:
    poll = select.poll()  # select takes no descriptors above 1,023
    poll.register(sock, select.POLLIN)
    poll.poll(30_000)


def cancels(bundle: Path, folder: Path, size: Size) -> Result:
    """Calls are begun by the thousand and taken back at once or in the midst of the work."""
    with Server(bundle, folder) as server, Trial("flood of cancelled calls", server) as trial:
        with trial.calls():
            ended = asyncio.run(_cancel(server.address, size.cancels))
        trial.expect(set(ended) <= DOCUMENTED, f"ended with {dict(ended)}")
        trial.result.faults = {"cancelled": ended["CANCELLED"], "ended": dict(ended)}
        trial.expect(_nothing_waits(server), "cancelled work still waits")
    return trial.result


def _nothing_waits(server: Server) -> bool:
    """Whether the queue is empty, a moment after a caller took its last calls back."""
    return seconds_until(lambda: server.metric("polyhead_queue_texts") == 0, 1.0) < 1.0


async def _cancel(address: str, calls: int) -> Counter[str]:
    ended: Counter[str] = Counter()
    async with grpc.aio.insecure_channel(address, options=OWN_CONNECTION) as channel:
        stub = AnnotationServiceStub(channel)
        for begun in range(0, calls, _BURST):
            under_way = [stub.Annotate(REQUEST, timeout=20.0) for _ in range(_BURST)]
            await asyncio.sleep(0.002 * (begun // _BURST % 5))
            for one in under_way:
                one.cancel()
            for one in under_way:
                with contextlib.suppress(asyncio.CancelledError, grpc.RpcError):
                    await one
                code = await one.code()
                ended[code.name] += 1
    return ended


def resets(bundle: Path, folder: Path, size: Size) -> Result:
    """Calls are begun and reset in one write, as fast as the connection takes them."""
    with Server(bundle, folder) as server, Trial("rapid resets", server) as trial:
        begun = connections = 0
        start = time.monotonic()
        with trial.calls():
            while begun < size.resets:
                connections += 1
                begun += _reset_on_one(server, size.resets - begun)
        seconds = time.monotonic() - start
        trial.result.faults = {
            "resets": begun,
            "connections": connections,
            "a_second": round(begun / seconds),
        }
        trial.expect(_nothing_waits(server), "reset work still waits")
    return trial.result


def _reset_on_one(server: Server, most: int) -> int:
    """Reset calls on one connection until there were enough of them, or the server closes it."""
    begun = 0
    sock = connect(server.place, PREFACE + settings())
    with sock:
        while begun < most:
            streams = range(2 * begun + 1, 2 * (begun + _BURST) + 1, 2)
            burst = b"".join(call(server.address, n, _BODY) + reset(n) for n in streams)
            begun += _BURST
            try:
                sock.sendall(burst)
                while select.select([sock], [], [], 0)[0]:
                    if not sock.recv(1 << 16):
                        return begun
            except OSError:
                return begun
    return begun
