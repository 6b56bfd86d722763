"""A port is reserved for processes of one server, and for no other."""

from __future__ import annotations

import asyncio
import socket

import pytest
from background_server import quiet_settings

from polyhead_server.errors import StartError
from polyhead_server.lifecycle import start_server
from polyhead_server.rollout.bundles import Bundles
from polyhead_server.workers.ports import reserved, share

HOST = "127.0.0.1"


def listening(port, *, shared):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        share(sock)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    sock.listen()
    return sock


def test_workers_listen_and_get_every_connection():
    """Several sockets may listen; no connection is lost to the one that reserves the port."""
    with (
        reserved(HOST, 0) as port,
        listening(port, shared=True) as one,
        listening(port, shared=True) as other,
    ):
        clients = [socket.create_connection((HOST, port)) for _ in range(40)]
        accepted = [accept_all(one), accept_all(other)]
        for client in clients:
            client.close()
    assert sum(accepted) == 40
    assert all(accepted)


def accept_all(sock):
    count = 0
    sock.setblocking(False)  # noqa: FBT003 - so it is called
    while True:
        try:
            sock.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_nobody_listens_yet():
    """Reserving alone answers nobody, so that nobody waits for workers that are not there."""
    with reserved(HOST, 0) as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_reserved_once():
    """What is reserved is not to be had by another server, before its workers listen or after."""
    with reserved(HOST, 0) as port:
        with pytest.raises(StartError, match="in use"), reserved(HOST, port):
            pass
        with listening(port, shared=True):
            with pytest.raises(StartError, match="in use"), reserved(HOST, port):
                pass
            with pytest.raises(OSError, match="in use"):
                listening(port, shared=False)


@pytest.mark.parametrize("shared", [False, True])
def test_port_of_another_server(shared):
    """A port that somebody listens on is refused, whether or not that one would share it."""
    with listening(0, shared=shared) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"{HOST}:{port}"), reserved(HOST, port):
            pass


def test_free_again_at_once():
    """Connections of a server that has just ended do not stand in the way."""
    with listening(0, shared=False) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    with reserved(HOST, port) as again:
        assert again == port


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "localhost"])  # noqa: S104
def test_hosts(host):
    """Addresses of either family, and names, are reserved as gRPC listens on them."""
    with reserved(host, 0) as port, listening(port, shared=True):
        socket.create_connection((HOST, port)).close()
        with pytest.raises(StartError), reserved(host, port):
            pass


def test_foreign_address():
    """An address that is not ours is told."""
    with pytest.raises(StartError, match="not ours"), reserved("192.0.2.1", 0):
        pass


@pytest.mark.parametrize(("workers", "listens"), [(2, False), (1, True)])
async def test_a_worker_listens_once_it_can_answer(tiny_bundle, monkeypatch, workers, listens):
    """Until its bundle is loaded, callers are left to the others; a lone server lets them wait."""
    loading, go, load = asyncio.Event(), asyncio.Event(), Bundles.load

    async def slow(*arguments):
        loading.set()
        await go.wait()
        return await load(*arguments)

    monkeypatch.setattr(Bundles, "load", slow)
    with reserved(HOST, 0) as port:
        pass
    settings = quiet_settings(tiny_bundle, port=port, workers=workers)
    starting = asyncio.create_task(start_server(settings))
    await loading.wait()
    assert accepts(port) == listens
    go.set()
    server = await starting
    assert accepts(port)
    assert server.ready.address == f"{HOST}:{port}"
    await server.stop()


def accepts(port):
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except ConnectionRefusedError:
        return False
    return True
