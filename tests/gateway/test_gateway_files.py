"""Files that are replaced while the gateway runs: certificates, authorities, API keys, JWKS."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import ssl
import subprocess
import threading
from urllib.parse import urlsplit

import grpc
import pytest
from authority import Authority
from gateway_processes import (
    COMMAND,
    PATIENCE,
    ask,
    events_of,
    running_gateway,
    running_server,
)
from test_access import ALICE, AUDIENCE, BOB, ISSUER, SECRET, b64, token

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.cli import main
from polyhead_server.gateway.config import envoy_config
from polyhead_server.gateway.settings import GatewaySettings
from polyhead_server.gateway.split import split

OTHER_SECRET = b"one more secret that tests know, 32"
CLIENT = "client.pem"


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def files(tmp_path, authority):
    """A folder with a certificate, authorities, API keys, and keys of tokens."""
    authority.write(tmp_path, "first")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    write_client(tmp_path, authority)
    write_keys(tmp_path, alice=ALICE, bob=BOB)
    write_jwks(tmp_path, SECRET)
    return tmp_path


@pytest.fixture
def gateway(server, files):
    """A gateway that reads all of them."""
    tls = ("--tls-cert", files / "certificate.pem", "--tls-key", files / "key.pem")
    checks = ("--tls-client-ca", files / "ca.pem", "--api-keys", files / "keys")
    claims = ("--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE)
    options = (*tls, *checks, "--jwt-keys", files / "jwks.json", *claims)
    with running_gateway(files / "gateway.jsonl", server, options=options) as gateway:
        yield gateway


def write_client(folder, authority):
    (folder / CLIENT).write_bytes(b"".join(authority.issue("client")))


def write_keys(folder, **keys):
    lines = [f"{client} {key}\n" for client, key in keys.items()]
    replace(folder / "keys", "".join(lines).encode())


def write_jwks(folder, secret):
    key = {"kty": "oct", "kid": "k", "alg": "HS256", "k": b64(secret).decode()}
    replace(folder / "jwks.json", json.dumps({"keys": [key]}).encode())


def replace(file, content):
    """As renewals do it: write beside, and move."""
    beside = file.with_suffix(".beside")
    beside.write_bytes(content)
    beside.replace(file)


def context_of(folder, authority):
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.load_cert_chain(folder / CLIENT)
    return context


@contextlib.contextmanager
def connected(gateway, folder, authority):
    """A connection over TLS."""
    port = urlsplit(gateway.address).port
    context = context_of(folder, authority)
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=PATIENCE)
    with contextlib.closing(connection):
        yield connection


def status(gateway, folder, authority, **headers):
    """What a caller over a connection of its own is answered; None where it is not let in."""
    with connected(gateway, folder, authority) as connection:
        try:
            return ask(gateway, "/v1/tasks", connection=connection, **headers).status
        except (OSError, http.client.HTTPException):
            return None


def shown(gateway, folder, authority):
    """The certificate that new connections see, as PEM."""
    with connected(gateway, folder, authority) as connection:
        connection.connect()
        return ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(binary_form=True)).encode()


def until(wanted, found):
    """Wait until something is as it should be."""
    while found() != wanted:
        pass


def refusals(log):
    return [e for e in events_of(log) if e.get("event") == "file_refused"]


def test_a_stream_goes_on_over_a_replaced_certificate(gateway, files, authority):
    """New connections see the new certificate; a stream that is under way is not disturbed."""
    key, certificate = (files / CLIENT).read_bytes(), (files / CLIENT).read_bytes()
    credentials = grpc.ssl_channel_credentials(authority.pem, key, certificate)
    target = f"localhost:{urlsplit(gateway.address).port}"
    sent = queue.SimpleQueue()
    with grpc.secure_channel(target, credentials) as channel:
        stub = AnnotationServiceStub(channel)
        answers = stub.AnnotateStream(iter(sent.get, None), metadata=[("x-api-key", ALICE)])
        for name in ("second", "third"):
            sent.put(stream_request(name))
            assert next(answers).outcomes[0].id == name
            authority.write(files, name)
            wanted = (files / "certificate.pem").read_bytes()
            until(wanted, lambda: shown(gateway, files, authority))
        sent.put(stream_request("last"))
        assert next(answers).outcomes[0].id == "last"
        sent.put(None)
        assert list(answers) == []


def stream_request(name):
    item = {"id": name, "document": {"text": "the fans"}}
    return pb.AnnotateStreamRequest(items=[item], tasks=["topic"])


def test_no_call_is_lost(gateway, files, authority):
    """Callers with old and new connections are answered all the while that files are replaced."""
    done, statuses = threading.Event(), []

    def call():
        with connected(gateway, files, authority) as lasting:
            while not done.is_set():
                answer = ask(gateway, "/v1/tasks", connection=lasting, x_api_key=ALICE)
                statuses.append(answer.status)
                statuses.append(status(gateway, files, authority, x_api_key=ALICE))

    caller = threading.Thread(target=call)
    caller.start()
    try:
        for number in range(3):
            write_keys(files, alice=ALICE, more=f"{BOB}-{number}")
            write_jwks(files, f"{number}".encode() * 32)
            authority.write(files, "next")
            wanted = (files / "certificate.pem").read_bytes()
            until(wanted, lambda wanted=wanted: shown(gateway, files, authority))
    finally:
        done.set()
        caller.join(PATIENCE)
    assert set(statuses) == {200}


def test_a_withdrawn_key_is_refused(gateway, files, authority):
    """Also on a connection that was there before; who keeps its key notices nothing."""
    with connected(gateway, files, authority) as connection:
        for key in (ALICE, BOB):
            assert ask(gateway, "/v1/tasks", connection=connection, x_api_key=key).status == 200
        write_keys(files, bob=BOB)

        def again(key):
            return ask(gateway, "/v1/tasks", connection=connection, x_api_key=key).status

        until(401, lambda: again(ALICE))
        assert again(BOB) == 200


def test_new_keys_of_tokens(gateway, files, authority):
    """Tokens of the new keys are let in, those of the old no more."""
    old, new = (
        {"authorization": f"Bearer {token(secret=secret)}"} for secret in (SECRET, OTHER_SECRET)
    )
    assert status(gateway, files, authority, **old) == 200
    assert status(gateway, files, authority, **new) == 401
    write_jwks(files, OTHER_SECRET)
    until(200, lambda: status(gateway, files, authority, **new))
    assert status(gateway, files, authority, **old) == 401


def test_replaced_client_authorities(gateway, files, authority):
    """Callers of the new authority are let in, those of the old no more."""
    other = Authority("other")
    assert status(gateway, files, authority, x_api_key=ALICE) == 200
    replace(files / "ca.pem", other.pem)
    until(None, lambda: status(gateway, files, authority, x_api_key=ALICE))
    write_client(files, other)
    assert status(gateway, files, authority, x_api_key=ALICE) == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_outlives_its_authority(gateway, files, authority, version):
    """A caller of the old authority cannot take its TLS session up again."""
    context = context_of(files, authority)
    context.maximum_version = version
    first, _ = session(gateway, context)
    assert session(gateway, context, first)[1]
    replace(files / "ca.pem", Authority("other").pem)
    until(None, lambda: status(gateway, files, authority, x_api_key=ALICE))
    with pytest.raises((ConnectionError, ssl.SSLError)):
        session(gateway, context, first)


def session(gateway, context, taken_up=None):
    """The session of a connection that was answered, and whether it was taken up again."""
    port = urlsplit(gateway.address).port
    with (
        socket.create_connection(("localhost", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=taken_up) as secure,
    ):
        secure.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert secure.recv(1000).startswith(b"HTTP/1.1 200")
        return secure.session, secure.session_reused


def test_what_is_broken_leaves_the_old(gateway, files, authority):
    """With a line in the log for each file, and no less attention for the other files."""
    good = (files / "certificate.pem").read_bytes()
    replace(files / "key.pem", authority.issue("other")[0])
    until(1, lambda: len(refusals(gateway.log)))
    write_jwks(files, b"")  # only Envoy finds fault with that
    until(2, lambda: len(refusals(gateway.log)))
    write_keys(files, bob=BOB)
    until(401, lambda: status(gateway, files, authority, x_api_key=ALICE))
    assert shown(gateway, files, authority) == good
    bearer = {"authorization": f"Bearer {token()}"}
    assert status(gateway, files, authority, **bearer) == 200
    first, second = refusals(gateway.log)
    assert "cannot use the TLS files: KEY_VALUES_MISMATCH" in first["reason"]
    assert "Envoy cannot use it" in second["reason"]
    authority.write(files, "mended")
    until((files / "certificate.pem").read_bytes(), lambda: shown(gateway, files, authority))


def test_replaced_files_towards_servers(bundle, tmp_path, authority):
    """A gateway that trusts none of its servers, or is not trusted, finds them once it should."""
    authority.write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    server_files = [f"--tls-cert={tmp_path}/certificate.pem", f"--tls-key={tmp_path}/key.pem"]
    own, other = tmp_path / "own", Authority("other")
    own.mkdir()
    other.write(own, "gateway")
    (own / "ca.pem").write_bytes(other.pem)
    log = tmp_path / "gateway.jsonl"
    with running_server(
        tmp_path / "server.jsonl", bundle, *server_files, f"--tls-client-ca={tmp_path}/ca.pem"
    ) as server:
        options = ["--listen=127.0.0.1:0", "--metrics=none", "--upstream", server.address]
        options += ["--upstream-ca", own / "ca.pem", "--upstream-name=localhost"]
        options += ["--upstream-cert", own / "certificate.pem", "--upstream-key", own / "key.pem"]
        command = [*COMMAND, "gateway", *options]
        with log.open("w") as err, subprocess.Popen(command, stdout=-1, stderr=err) as gateway:
            try:
                until(1, lambda: log.read_text().count("no_healthy_server"))
                replace(own / "ca.pem", authority.pem)
                authority.write(own, "gateway")
                assert gateway.stdout.readline().startswith(b"gateway ready on")
            finally:
                gateway.terminate()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "is no JSON Web Key Set"),
        ('{"keys": []}', "holds no key"),
        (
            '{"keys": [{"kty": "oct", "k": "", "alg": "HS256"}]}',
            "Envoy cannot use one of the files",
        ),
    ],
)
def test_unusable_from_the_start(tmp_path, capfd, content, said):
    """Keys of tokens that cannot be used are told in one line, with code 2."""
    (tmp_path / "jwks.json").write_text(content)
    options = ["--listen=127.0.0.1:0", "--metrics=none", "--log-level=error"]
    options += ["--jwt-keys", tmp_path / "jwks.json"]
    assert main(["gateway", *map(str, options)]) == 2
    told = capfd.readouterr().err
    assert said in told
    assert ("invalid local jwks" in told) == ("Envoy" in said)


def test_keys_are_not_in_the_listener(files):
    """Nothing that is in files is left in what Envoy reads only once."""
    settings = GatewaySettings(
        api_keys=files / "keys",
        jwt_keys=files / "jwks.json",
        tls_cert=files / "certificate.pem",
        tls_key=files / "key.pem",
        tls_client_ca=files / "ca.pem",
        upstream_ca=files / "ca.pem",
        upstream_cert=files / "certificate.pem",
        upstream_key=files / "key.pem",
    )
    whole = envoy_config(settings, {"alice": ALICE}, data="data", admin="admin.sock")
    rest, resources = split(whole, files / "envoy")
    assert ALICE in json.dumps(whole)
    assert ALICE not in json.dumps(rest)
    for name in ("keys", "jwks.json", "certificate.pem", "key.pem", "ca.pem"):
        assert f'"{files / name}"' not in json.dumps(rest)
    assert len(resources) == 6
