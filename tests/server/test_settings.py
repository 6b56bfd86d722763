"""Settings: flags beat the environment, which beats defaults; all mistakes are told at once."""

from __future__ import annotations

import argparse
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from polyhead_server.cpus import usable_cpus
from polyhead_server.errors import SettingsError
from polyhead_server.lifecycle import _grpc_server
from polyhead_server.options import SERVE
from polyhead_server.settings import Settings

HTTP_PORT = "--inference-http-port"
LARGEST = 2**31 - 1
HUGE = "1" + "0" * 30


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    SERVE.add_flags(parser)
    return vars(parser.parse_args(arguments))


def problems(flags=(), environment=None):
    with pytest.raises(SettingsError) as caught:
        SERVE.read(parsed(*flags), environment or {})
    return list(caught.value.problems)


def test_defaults():
    """Without flags and environment the defaults hold."""
    assert SERVE.read(parsed(), {}) == Settings()


def test_flag_beats_environment_beats_default():
    """The same setting from both places is the flag's."""
    environment = {"POLYHEAD_MAX_DOCUMENTS": "7", "POLYHEAD_BATCH_TOKENS": "9"}
    settings = SERVE.read(parsed("--max-documents", "8"), environment)
    assert (settings.max_documents, settings.batch_tokens) == (8, 9)


def test_every_kind_of_value():
    """Numbers, switches, choices, paths and their absence are converted."""
    settings = SERVE.read(
        parsed("--access-log", "--metrics-port", "-1", "--bundle", "b", "--log-format=json"),
        {"POLYHEAD_DRAIN_SECONDS": "2.5", "POLYHEAD_TLS_CERT": "none"},
    )
    assert settings.access_log is True
    assert settings.metrics_port == -1
    assert settings.bundle == Path("b")
    assert settings.log_format == "json"
    assert settings.drain_seconds == 2.5
    assert settings.tls_cert is None


@pytest.mark.parametrize(("raw", "value"), [("3", 3), ("auto", "auto")])
def test_number_or_word(raw, value):
    """Workers are counted, or left to the server."""
    assert SERVE.read(parsed("--workers", raw), {}).workers == value


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("many", "'many' is not a whole number or auto"),
        ("0", "0 is less than 1"),
        ("1000000", f"1000000 is more than {16 * usable_cpus()}, 16 a processor"),
    ],
)
def test_wrong_workers(raw, problem):
    """Other words and numbers are told."""
    assert problems(("--workers", raw)) == [f"--workers: {problem}"]


@pytest.mark.parametrize("flag", ["--threads", "--streams"])
def test_too_many(flag):
    """As with workers."""
    most = f"1000000 is more than {16 * usable_cpus()}, 16 a processor"
    assert problems((flag, "1000000")) == [f"{flag}: {most}"]
    assert problems((flag, "1000000", "--workers", "auto")) == [f"{flag}: {most}"]


def test_flags_give_the_same_settings(tmp_path):
    """What one process tells another as flags builds equal settings there."""
    token = tmp_path / "a token, with a comma"
    token.write_text("x")
    settings = Settings(port=0, drain_seconds=0.1, access_log=True, token_file=token, workers=3)
    assert SERVE.read(SERVE.flags(settings), {}) == settings


def test_a_file_that_is_called_none(tmp_path, monkeypatch):
    """It is a file, and not taken for none by the process that is told of it."""
    monkeypatch.chdir(tmp_path)
    for name in ("none", "None"):
        (tmp_path / name).write_text("x")
        flags = SERVE.flags(Settings(token_file=Path("./" + name)))
        assert SERVE.read(flags, {}).token_file == tmp_path / name


@pytest.mark.parametrize(("word", "value"), [("true", True), ("0", False), ("No", False)])
def test_switch_from_the_environment(word, value):
    """A switch takes the usual words."""
    assert SERVE.read({}, {"POLYHEAD_ACCESS_LOG": word}).access_log is value


def test_all_mistakes_at_once_by_their_names():
    """Each mistake is told with the flag or variable that it came from."""
    found = problems(
        ["--port", "many", "--threads", "-2", "--log-level", "loud"],
        {"POLYHEAD_MAX_DOCUMENTS": "0", "POLYHEAD_ACCESS_LOG": "maybe"},
    )
    assert sorted(found) == [
        "--log-level: 'loud' is not one of debug, info, warning, error",
        "--port: 'many' is not a whole number",
        "--threads: -2 is less than 0",
        "POLYHEAD_ACCESS_LOG: 'maybe' is not true or false",
        "POLYHEAD_MAX_DOCUMENTS: 0 is less than 1",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--port", "70000"], "--port: 70000 is not from 0 to 65535"),
        (["--metrics-port", "-2"], "--metrics-port: -2 is not from -1 to 65535"),
        (["--port", "9464"], "--metrics-port: 9464 is the port of the gRPC server"),
        (["--inference-http-port", "70000"], f"{HTTP_PORT}: 70000 is not from -1 to 65535"),
        (["--inference-http-port", "50051"], f"{HTTP_PORT}: 50051 is the port of the gRPC server"),
        (["--inference-http-port", "9464"], f"{HTTP_PORT}: 9464 is the port of the metrics"),
        (["--default-deadline", "0"], "--default-deadline: 0.0 is not above 0"),
        (["--drain-seconds", "nan"], "--drain-seconds: 'nan' is not a finite number"),
        (["--drain-seconds", "soon"], "--drain-seconds: 'soon' is not a number"),
        (["--token-file", "/no/such"], "--token-file: there is no file /no/such"),
    ],
)
def test_one_mistake(arguments, problem):
    """Values out of bounds are told with the bound."""
    assert problems(arguments) == [problem]


@pytest.mark.parametrize(
    ("flag", "raw", "most"),
    [
        ("--batch-tokens", HUGE, 65_536),
        ("--max-message-bytes", "3000000000", LARGEST),
        ("--max-concurrent-streams", HUGE, LARGEST),
        ("--max-connections", HUGE, LARGEST - 1),
        ("--max-connections", str(LARGEST), LARGEST - 1),
        ("--max-connection-age", "3000000.0", LARGEST // 1000),
    ],
)
def test_more_than_can_be(flag, raw, most):
    """What gRPC keeps in a C int, or in as many milliseconds, is told with its bound."""
    assert problems([flag, raw]) == [f"{flag}: {raw} is more than {most}"]


def test_deadline_beyond_the_age_of_connections():
    """A deadline is bounded where gRPC is told of it, for the end of old connections."""
    long = ["--default-deadline", "3000000"]
    assert SERVE.read(parsed(*long), {}).default_deadline == 3_000_000
    assert problems([*long, "--max-connection-age", "60"]) == [
        f"--default-deadline: 3000000.0 is more than {LARGEST // 1000}"
    ]


@pytest.mark.parametrize("name", ["max-documents", "max-text-chars", "max-request-chars"])
def test_limits_that_clients_cannot_be_told(name):
    """They are refused at the start; else ListTasks would fail at each call."""
    assert problems([f"--{name}", str(2**32)]) == [f"--{name}: {2**32} is more than {2**32 - 1}"]


async def test_grpc_takes_the_bounds():
    """The largest values that are let in are ones that gRPC can be made with."""
    seconds = LARGEST // 1000
    settings = Settings(
        max_message_bytes=LARGEST,
        max_concurrent_streams=LARGEST,
        max_connections=LARGEST - 1,
        max_connection_age=seconds,
        default_deadline=seconds,
    )
    server = _grpc_server(settings)
    assert server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await server.stop(None)


def test_tls_needs_certificate_and_key(tmp_path):
    """Half of a pair, or client authorities without one, is a mistake."""
    file = tmp_path / "cert.pem"
    file.write_text("")
    assert problems(["--tls-cert", str(file)]) == [
        "--tls-key: certificate and key must be given together"
    ]
    assert problems(["--tls-client-ca", str(file)]) == [
        "--tls-client-ca: needs tls_cert and tls_key"
    ]


def test_every_setting_is_explained():
    """Each field has a sentence below it, and the help shows it with its default."""
    assert set(SERVE.help_texts()) == {field.name for field in fields(Settings)}
    parser = argparse.ArgumentParser()
    SERVE.add_flags(parser)
    page = " ".join(parser.format_help().split())
    assert "Documents in one request. [POLYHEAD_MAX_DOCUMENTS; default 1024]" in page


def test_help_calls_values_what_they_are():
    """Only seconds are called so."""
    parser = argparse.ArgumentParser()
    SERVE.add_flags(parser)
    called = {action.dest: action.metavar for action in parser._actions}
    counts = [name for name in called if name.startswith("client_")]
    assert {called[name] for name in counts} == {"N"}
    assert called["bulk_share"] == called["trace_sample"] == "PART"
    assert called["engine"] == "NAME"
    texts = SERVE.help_texts()
    seconds = [name for name, metavar in called.items() if metavar == "SECONDS"]
    assert [
        name for name in seconds if "econds" not in texts[name] and "Time" not in texts[name]
    ] == []


def test_frozen():
    """Settings do not change."""
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1
