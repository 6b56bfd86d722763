"""A gateway's life: ready, lost servers, drain, taken ports; what it leaves in logs and metrics."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import threading
from urllib.parse import urlsplit

import pytest
from gateway_processes import (
    COMMAND,
    PATIENCE,
    ask,
    running,
    running_gateway,
    running_server,
)

from polyhead_server.cli import main

REQUEST = {"documents": [{"text": "the fans won in Berlin"}], "tasks": ["*"]}
CALLERS, CALLS = 4, 60


def until(found):
    """What is found once it is there."""
    while not (value := found()):
        pass
    return value


def event(running_process, **wanted):
    """The log's line with these values, once it is there."""
    return until(
        lambda: next((e for e in running_process.events() if wanted.items() <= e.items()), None)
    )


def test_one_id_in_both_logs(gateway, server):
    """The caller's request id is in the gateway's log and in the server's."""
    answer = ask(gateway, "/v1/annotate", REQUEST, x_request_id="seen-by-both")
    assert answer.headers["x-request-id"] == "seen-by-both"
    here = event(gateway, request_id="seen-by-both")
    assert (here["verb"], here["path"], here["status"]) == ("POST", "/v1/annotate", 200)
    assert here["server"] == server.address
    there = event(server, request_id="seen-by-both")
    assert (there["method"], there["documents"]) == ("Annotate", 1)
    assert "fans" not in gateway.log.read_text() + server.log.read_text()


def test_made_ids_are_the_same_everywhere(gateway, server):
    """Without one the gateway makes it, and the caller, both logs and errors have the same."""
    answer = ask(gateway, "/v1/annotate", {})
    made = answer.headers["x-request-id"]
    assert answer.details()["RequestInfo"]["requestId"] == made
    assert event(gateway, request_id=made)["status"] == 400
    assert event(server, request_id=made)["status"] == "INVALID_ARGUMENT"


def test_metrics(gateway):
    """Envoy's counters, by method, are on a port of their own, in Prometheus' form."""
    ask(gateway, "/v1/annotate", REQUEST)
    metrics = urlsplit(gateway.said["metrics"])
    answer = ask(f"http://{metrics.netloc}", metrics.path)
    assert answer.status == 200
    lines = answer.body.decode().splitlines()
    assert any("envoy_cluster_grpc" in line and "Annotate" in line for line in lines)
    assert any(line.startswith("envoy_cluster_upstream_rq_total{") for line in lines)
    assert ask(f"http://{metrics.netloc}", "/quitquitquit", b"").status == 404


def test_made_up_methods_are_not_kept(gateway):
    """Each would be a statistic for good, and anybody may call what needs no key."""
    for path in ("/grpc.health.v1.Health/MadeUp", "/made.up.v1.Service/MadeUp"):
        ask(gateway, path, b"", content_type="application/grpc")
    metrics = urlsplit(gateway.said["metrics"])
    assert b"MadeUp" not in ask(f"http://{metrics.netloc}", metrics.path).body


def test_callers_cannot_say_what_the_log_tells(gateway):
    """Its path and verb are those of the call."""
    made_up = {"x_envoy_original_path": "/docs", "x_envoy_original_method": "GET"}
    answer = ask(gateway, "/v1/annotate", {}, **made_up)
    told = event(gateway, request_id=answer.headers["x-request-id"])
    assert (told["verb"], told["path"]) == ("POST", "/v1/annotate")


def test_callers_connections_keep_no_probe_out(server, logs):
    """The bound on connections is for callers: probes and Prometheus get in all the same."""
    options = ("--max-connections=3",)
    with (
        running_gateway(logs / "full.jsonl", server, options=options) as gateway,
        contextlib.ExitStack() as held,
    ):
        netloc, metrics = urlsplit(gateway.address).netloc, urlsplit(gateway.said["metrics"])
        for _ in range(3):
            connection = http.client.HTTPConnection(netloc, timeout=PATIENCE)
            held.enter_context(contextlib.closing(connection))
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(gateway, "/healthz")
        for path in (metrics.path, "/healthz"):
            assert ask(f"http://{metrics.netloc}", path).status == 200


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lost_server_loses_no_call(bundle, logs, number):
    """With two servers, one killed or shut down under load, every call is answered."""
    with (
        running_server(logs / "one.jsonl", bundle) as one,
        running_server(logs / "two.jsonl", bundle) as two,
        running_gateway(logs / "before-two.jsonl", one, two) as gateway,
    ):
        statuses = []
        begun = threading.Semaphore(0)

        def call():
            netloc = urlsplit(gateway.address).netloc
            connection = http.client.HTTPConnection(netloc, timeout=PATIENCE)
            with contextlib.closing(connection):
                for _ in range(CALLS):
                    answer = ask(gateway, "/v1/annotate", REQUEST, connection=connection)
                    statuses.append(answer.status)
                    begun.release()

        callers = [threading.Thread(target=call) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for _ in range(CALLERS * CALLS // 4):
            assert begun.acquire(timeout=PATIENCE)
        one.process.send_signal(number)
        for caller in callers:
            caller.join(PATIENCE)
        assert statuses == [200] * (CALLERS * CALLS)
        served = {e["server"] for e in gateway.events() if e.get("event") == "call"}
        assert served == {one.address, two.address}


def test_one_caller_takes_no_server_from_the_others(bundle, logs):
    """Neither by deadlines that are too short, nor by headers at which servers reset the call.

    Of which servers say nothing in their logs, either, but in the lines of their own form.
    """
    with (
        running_server(logs / "one.jsonl", bundle) as one,
        running_server(logs / "two.jsonl", bundle) as two,
        running_gateway(logs / "gateway.jsonl", one, two) as gateway,
    ):
        for _ in range(6):
            assert ask(gateway, "/v1/annotate", REQUEST, grpc_timeout="1u").status == 504
            assert ask(gateway, "/v1/annotate", REQUEST, x_bin="!").status == 503
        metrics = urlsplit(gateway.said["metrics"])
        found = ask(f"http://{metrics.netloc}", metrics.path).body.decode().splitlines()
        assert 'envoy_cluster_membership_healthy{envoy_cluster_name="polyhead"} 2' in found
        for server in (one, two):
            assert all(line.startswith("{") for line in server.log.read_text().splitlines())


def test_drain(server, logs):
    """After SIGTERM a call under way is finished, new connections are refused, and the end is 0."""
    with running_gateway(logs / "drained.jsonl", server) as gateway:
        netloc = urlsplit(gateway.address).netloc
        connection = http.client.HTTPConnection(netloc, timeout=PATIENCE)
        connection.putrequest("POST", "/v1/annotate:stream")
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        message = b'{"items":[{"id":"1","document":{"text":"the fans"}}],"tasks":["topic"]}'
        connection.send(b"%x\r\n[%s\r\n" % (len(message) + 1, message))
        response_began = until(lambda: _active(gateway))
        gateway.process.send_signal(signal.SIGTERM)
        event(gateway, event="draining")
        until(lambda: _refused(netloc))
        connection.send(b"1\r\n]\r\n0\r\n\r\n")
        response = connection.getresponse()
        assert response_began
        assert (response.status, b'"id":"1"' in response.read()) == (200, True)
        connection.close()
        assert gateway.process.wait(PATIENCE) == 0
        assert event(gateway, event="stopped")["drained"] is True


def _active(gateway):
    """Whether a call is under way."""
    metrics = urlsplit(gateway.said["metrics"])
    body = ask(f"http://{metrics.netloc}", metrics.path).body.decode()
    name = 'envoy_http_downstream_rq_active{envoy_http_conn_manager_prefix="gateway"}'
    return any(line == f"{name} 1" for line in body.splitlines())


def _refused(netloc):
    """Whether nobody listens any more; what waited to be let in is reset."""
    connection = http.client.HTTPConnection(netloc, timeout=PATIENCE)
    try:
        connection.connect()
    except ConnectionResetError:
        return False
    except ConnectionRefusedError:
        return True
    finally:
        connection.close()
    return False


def test_waits_for_a_server(bundle, logs, tmp_path):
    """It says that no server is there yet, answers 503 meanwhile, and is ready once one is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    file = (tmp_path / "late.jsonl").open("w")
    options = ["gateway", "--listen=127.0.0.1:0", "--metrics=none", "--upstream", address]
    with file, subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=file) as late:
        try:
            until(lambda: "no_healthy_server" in (tmp_path / "late.jsonl").read_text())
            port = address.rpartition(":")[2]
            arguments = ["serve", f"--port={port}", "--metrics-port=-1", "--bundle", bundle]
            with running(logs / "again.jsonl", *arguments):
                assert late.stdout.readline().startswith(b"gateway ready on http://127.0.0.1:")
        finally:
            late.terminate()
    assert late.returncode == 0


def test_taken_port(gateway, capsys):
    """A port that is in use is told in one line, with code 2."""
    listen = urlsplit(gateway.address).netloc
    assert main(["gateway", "--listen", listen, "--metrics", "none"]) == 2
    assert f"cannot listen on {listen}: the port is in use" in capsys.readouterr().err


def test_lost_envoy(server, logs, tmp_path):
    """Should Envoy end by itself, so does the gateway, with code 1."""
    with running_gateway(logs / "lost.jsonl", server) as gateway:
        children = subprocess.check_output(["pgrep", "-P", str(gateway.process.pid)], text=True)
        subprocess.run(["kill", "-KILL", children.split()[0]], check=True)
        assert gateway.process.wait(PATIENCE) == 1
        assert event(gateway, event="envoy_ended")["status"] == -signal.SIGKILL


def test_missing_envoy(tmp_path, capsys):
    """A program that cannot be started is told in one line, with code 2."""
    program = tmp_path / "envoy"
    program.write_text("")
    arguments = ["--envoy", str(program), "--listen=127.0.0.1:0", "--metrics=none"]
    assert main(["gateway", *arguments]) == 2
    assert f"cannot start {program}" in capsys.readouterr().err
