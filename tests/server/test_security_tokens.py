"""Bearer tokens from a file: names, mistakes, and a file that is replaced."""

from __future__ import annotations

import asyncio
import hashlib

import grpc
import pytest
import structlog
from background_server import PATIENCE, running

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead_server.errors import StartError, UnauthenticatedError
from polyhead_server.security.guard import Guard
from polyhead_server.security.tokens import Tokens, first_token, read_tokens
from polyhead_server.security.watched import Watched

REQUEST = pb.AnnotateRequest(documents=[{"text": "the fans"}], tasks=["pos"])


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("# who may call\n\nalice  alices-token\nanonymous-token\n")
    return file


def test_tokens_and_names(file):
    """A token has the name before it, or else the beginning of its digest."""
    digest = hashlib.sha256(b"anonymous-token").hexdigest()[:8]
    assert [known.client for known in read_tokens(file)] == ["token:alice", f"token:{digest}"]
    tokens = Tokens(file)
    assert tokens.client_of("alices-token") == "token:alice"
    assert tokens.client_of("anonymous-token") == f"token:{digest}"
    assert tokens.client_of("alice") is None
    assert tokens.client_of("") is None


def test_a_comment_is_a_line_of_its_own(tmp_path):
    """A token may hold a #; what is sent is what the server takes."""
    (tmp_path / "tokens").write_text("  # mine\nalice s3cret#2026-token\nother\n")
    token = first_token(tmp_path / "tokens")
    assert token.partition("#")[2] == "2026-token"
    assert Tokens(tmp_path / "tokens").client_of(token) == "token:alice"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no token"),
        ("# none\n", "holds no token"),
        ("a b hidden1\n", "line 1: wanted a token"),
        ("good-token\nbad/name hidden1\n", "line 2: wanted a token"),
        ("t\u00f6ken\n", "line 1: wanted a token"),
    ],
)
def test_wrong_files(tmp_path, content, problem):
    """What is wrong is told by line; no token is shown."""
    (tmp_path / "tokens").write_text(content, encoding="utf-8")
    with pytest.raises(StartError, match=problem) as caught:
        Tokens(tmp_path / "tokens")
    assert "hidden1" not in str(caught.value).partition(", line")[2]


def test_what_is_sent_is_a_token(tmp_path):
    """Else grpc would complain of it, and show it."""
    file = tmp_path / "tokens"
    file.write_text("\ufeffhidden1\n", encoding="utf-8")
    with pytest.raises(StartError, match="line 1: wanted a token") as caught:
        first_token(file)
    assert "hidden1" not in str(caught.value)
    file.write_text("# ours\nme hidden1\n", encoding="utf-8")
    assert first_token(file) == "hidden1"


def test_no_file(tmp_path):
    """A file that is not there is told by its name."""
    with pytest.raises(StartError, match=r"cannot read .*tokens"):
        Tokens(tmp_path / "tokens")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic alices-token", "alices-token"])
def test_other_headers(file, header):
    """Only a bearer token is one."""
    guard = Guard([Tokens(file)])
    assert guard.admit("bearer alices-token") == "token:alice"
    with pytest.raises(UnauthenticatedError):
        guard.admit(header)


def test_watched_files(tmp_path):
    """A change is read once, what is broken leaves what was there, and a repair is found."""
    file = tmp_path / "tokens"
    file.write_text("first\n")
    watched = Watched((file,), lambda: read_tokens(file), pause=0.0)
    first = watched.get()
    assert watched.get() is first
    with structlog.testing.capture_logs() as logs:
        file.write_text("\n")
        assert watched.get() is first
        assert watched.get() is first
        file.unlink()
        assert watched.get() is first
        file.write_text("the second\n")
        assert watched.get()[0].client == "token:the"
    events = [log["event"] for log in logs]
    assert events == ["file_refused", "file_refused", "file_read_again"]


def test_a_file_that_cannot_be_read_for_a_moment(tmp_path):
    """It is read again, though nothing that can be seen of it has changed, and told of once."""
    file = tmp_path / "tokens"
    file.write_text("first\n")
    denied = False

    def read():
        if denied:
            raise StartError("cannot read it: Permission denied")
        return read_tokens(file)

    watched = Watched((file,), read, pause=0.0)
    with structlog.testing.capture_logs() as logs:
        file.write_text("the second\n")
        denied = True
        assert watched.get()[0].client != "token:the"
        assert watched.get()[0].client != "token:the"
        denied = False
        assert watched.get()[0].client == "token:the"
        assert watched.get() is watched.get()
    assert [log["event"] for log in logs] == ["file_refused", "file_read_again"]


async def test_served(tiny_bundle, file):
    """Callers are logged by name; refusals are counted; a replaced file holds within seconds."""
    with structlog.testing.capture_logs() as logs:
        async with running(tiny_bundle, token_file=file, access_log=True) as (server, stub):
            await stub.Annotate(REQUEST, timeout=PATIENCE, metadata=bearer("alices-token"))
            with pytest.raises(grpc.RpcError) as caught:
                await stub.Annotate(REQUEST, timeout=PATIENCE, metadata=bearer("bobs-token"))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            refused = {"reason": "unauthenticated"}
            registry = server.metrics.registry
            assert registry.get_sample_value("polyhead_refused_total", refused) == 1
            file.write_text("bob bobs-token\n")
            async with asyncio.timeout(PATIENCE):
                while not await lets_in(stub, "bobs-token"):
                    pass
            assert not await lets_in(stub, "alices-token")
    clients = [log["client"] for log in logs if log["event"] == "call"]
    assert clients[0] == "token:alice"
    assert clients[1] == "127.0.0.1"
    assert "token:bob" in clients


async def lets_in(stub, token) -> bool:
    call = stub.ListTasks(pb.ListTasksRequest(), timeout=PATIENCE, metadata=bearer(token))
    code = await call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED)
    return code is grpc.StatusCode.OK
