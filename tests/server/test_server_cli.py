"""The command polyhead-server: serve, inspect, and clear words where it cannot."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

import grpc
import pytest
from background_server import PATIENCE
from gateway_processes import COMMAND
from tiny_bundle import edit_manifest

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.cli import main


@pytest.fixture
def damaged(tiny_bundle, tmp_path):
    copy = tmp_path / "damaged"
    shutil.copytree(tiny_bundle, copy)
    with (copy / "encoder.bin").open("r+b") as file:
        file.write(b"\x00\x01\x02\x03")
    return copy


def test_serve_until_terminated(tiny_bundle):
    """It prints one ready line, answers, and ends with 0 after SIGTERM; the log is on stderr."""
    arguments = ["serve", "--port=0", "--metrics-port=0", "--threads=1", "--bundle", tiny_bundle]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        ready = process.stdout.readline().split()
        with grpc.insecure_channel(ready[3]) as channel:
            answer = AnnotationServiceStub(channel).ListTasks(
                pb.ListTasksRequest(), timeout=PATIENCE
            )
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=PATIENCE)
    assert ready[:3] == ["polyhead", "ready", "on"]
    assert answer.bundle_name == "tiny"
    assert process.returncode == 0
    assert out == ""
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events == ["loaded", "warm", "ready", "draining", "stopped"]


def test_damaged_bundle(damaged, capsys):
    """One line says what is wrong; the code is 2 and there is no traceback."""
    assert main(["serve", "--port=0", "--metrics-port=-1", "--bundle", str(damaged)]) == 2
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if not line.startswith("{")]
    assert "encoder.bin is damaged" in line
    assert out == ""


def test_wrong_settings(capsys):
    """All mistakes are told, one a line, with code 2."""
    assert main(["serve", "--port=x", "--threads=-1"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "polyhead-server: --port: 'x' is not a whole number",
        "polyhead-server: --threads: -1 is less than 0",
    ]


@pytest.mark.parametrize("flag", ["--max-message-bytes", "--max-connections"])
def test_a_number_that_is_too_large(flag, capsys):
    """It is told in one line with its bound before anything is loaded."""
    assert main(["serve", "--port=0", flag, "1" + "0" * 30]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"polyhead-server: {flag}: 1")
    assert " is more than 21474836" in line


def test_help_is_about_all_commands(capsys):
    """It names none of the commands above the list of all."""
    with pytest.raises(SystemExit):
        main(["--help"])
    about, _, commands = capsys.readouterr().out.partition("positional arguments:")
    assert "serve" in commands
    assert "COMMAND --help" in about
    assert not any(name in about for name in ("`serve`", "`inspect`", "`gateway`"))


def test_inspect(tiny_bundle, capsys):
    """It shows the heads with their labels and figures."""
    assert main(["inspect", str(tiny_bundle)]) == 0
    out = capsys.readouterr().out
    assert "tiny 1" in out
    assert "sentiment" in out
    assert "0.5000" in out


def test_inspect_damaged(damaged, capsys):
    """A damaged bundle is told, with code 2."""
    assert main(["inspect", str(damaged)]) == 2
    assert "encoder.bin is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("digests", "x" * 300), "0", "cannot be read: File name too long"),
        (("heads", 0, "figures", 0, "value"), 10**400, "value is not a finite number"),
    ],
    ids=["long name", "large number"],
)
def test_inspect_a_strange_manifest(tiny_bundle, tmp_path, capsys, place, value, told):
    """What no file and no number can be is told in one line, with code 2."""
    copy = shutil.copytree(tiny_bundle, tmp_path / "strange")
    edit_manifest(copy, *place, value=value)
    assert main(["inspect", str(copy)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(told)


def test_version(capsys):
    """--version prints it."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == "0.1.0"
