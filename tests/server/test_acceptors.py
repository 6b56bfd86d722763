"""Calls are taken from gRPC many at a time, and none is lost by it."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from grpc._cython import cygrpc

from polyhead_server import acceptors
from polyhead_server.acceptors import Acceptors

CALLS = 24
PATIENCE = 20.0


def handlers(handle):
    method = grpc.unary_unary_rpc_method_handler(handle)
    return [grpc.method_handlers_generic_handler("test.Echo", {"Echo": method})]


async def started(handle, count):
    """A server on a free port with so many acceptors, and its address."""
    server = grpc.aio.server()
    served = handlers(handle)
    server.add_generic_rpc_handlers(served)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    more = Acceptors(server, served)
    if count:
        assert more.start(count) == count
    return server, more, f"127.0.0.1:{port}"


def call_all(address):
    """All calls at the same time on one connection; their answers in order."""
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(PATIENCE)
        echo = channel.unary_unary("/test.Echo/Echo")
        calls = [echo.future(b"%d" % number, timeout=PATIENCE) for number in range(CALLS)]
        return [call.result() for call in calls]


async def turns_with_a_beginning(count):
    """Turns of the event loop in which at least one of many waiting calls began."""
    began: list[int] = []
    turn = 0

    async def echo(request, _):
        began.append(turn)
        # Every call holds the event loop, the first for longest: meanwhile the others pile up in
        # the core, however busy the machine is.
        time.sleep(0.02 if began[1:] else 0.3)  # noqa: ASYNC251
        return request

    def next_turn():
        nonlocal turn
        turn += 1
        if len(began) < CALLS:
            asyncio.get_running_loop().call_soon(next_turn)

    server, _more, address = await started(echo, count)
    with ThreadPoolExecutor(1) as client:
        answers = asyncio.wrap_future(client.submit(call_all, address))
        next_turn()
        assert await answers == [b"%d" % number for number in range(CALLS)]
    await server.stop(None)
    return len(set(began))


async def test_calls_that_wait_are_taken_together():
    """A server that asks for them one by one takes nearly each in a turn of its own."""
    assert 2 * await turns_with_a_beginning(8) < await turns_with_a_beginning(0)


async def test_a_call_that_is_refused_or_given_up():
    """A status that a handler sets arrives, and one whose caller is gone is cancelled."""
    cancelled = asyncio.Event()

    async def handle(request, context):
        if request == b"refuse":
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no")
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server, _more, address = await started(handle, 8)
    async with grpc.aio.insecure_channel(address) as channel:
        echo = channel.unary_unary("/test.Echo/Echo")
        for _ in range(CALLS):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await echo(b"refuse")
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError):
            await echo(b"wait", timeout=0.2)
        await asyncio.wait_for(cancelled.wait(), PATIENCE)
    await server.stop(None)


async def test_stopping_waits_for_calls_and_ends_all_acceptors():
    """A call under way is answered within the grace, and nothing goes on after that."""
    entered, go = asyncio.Event(), asyncio.Event()

    async def echo(request, _):
        entered.set()
        await go.wait()
        return request

    server, more, address = await started(echo, 8)
    async with grpc.aio.insecure_channel(address) as channel:
        call = asyncio.ensure_future(channel.unary_unary("/test.Echo/Echo")(b"last"))
        await entered.wait()
        stopping = asyncio.create_task(server.stop(PATIENCE))
        await asyncio.sleep(0.05)
        go.set()
        assert await call == b"last"
        await asyncio.wait_for(stopping, PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while more.under_way:  # noqa: ASYNC110 - their tasks end by themselves
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "change", [{"_handle_rpc": lambda *, anything: anything}, {"_schedule_rpc_coro": None}]
)
async def test_a_release_of_grpcio_that_is_not_known(monkeypatch, change):
    """The server takes calls as it does by itself."""

    async def echo(request, _):
        return request

    known = {name: getattr(cygrpc, name) for name in ("RPCState", "_handle_rpc")}
    parts = known | {"_schedule_rpc_coro": cygrpc._schedule_rpc_coro} | change
    other = SimpleNamespace(**{name: part for name, part in parts.items() if part})
    monkeypatch.setattr(acceptors, "cygrpc", other)
    server, more, address = await started(echo, 0)
    assert more.start() == 0
    async with grpc.aio.insecure_channel(address) as channel:
        assert await channel.unary_unary("/test.Echo/Echo")(b"as before") == b"as before"
    await server.stop(None)
