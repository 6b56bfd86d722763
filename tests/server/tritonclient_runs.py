"""Runs the public tritonclient in an environment of its own, for its own versions of gRPC."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from polyhead_server.inference import open_inference_pb2

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build/tritonclient-venv/bin/python"
SCRIPT = Path(__file__).parent / "tritonclient_checks.py"
CHECKS = re.findall(r"^(?:async )?def (check_\w+)\(\):", SCRIPT.read_text(), re.MULTILINE)
PATIENCE = 300


def run(*command: object, **options: object) -> str:
    """What a command prints; it must end well."""
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=PATIENCE, **options
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def make_environment() -> None:
    """Make the environment where it is missing or out of date."""
    run("make", "tritonclient", cwd=ROOT)


def run_checks(grpc_address: str, http_address: str) -> dict[str, str]:
    """What each check of the script says about a server: "ok" or a traceback."""
    make_environment()
    said = run(PYTHON, SCRIPT, grpc_address, http_address, input=json.dumps(messages()))
    found = json.loads(said.splitlines()[-1])
    assert sorted(found) == sorted(CHECKS)
    return found


def messages() -> dict[str, dict[str, tuple[object, ...]]]:
    """Number, type, repetition, message and oneof of each field of each of our messages."""
    found = {}
    waiting = list(open_inference_pb2.DESCRIPTOR.message_types_by_name.values())
    while waiting:
        message = waiting.pop()
        waiting += message.nested_types
        found[message.full_name] = {
            field.name: (
                field.number,
                field.type,
                field.is_repeated,
                field.message_type.full_name if field.message_type else "",
                field.containing_oneof.name if field.containing_oneof else "",
            )
            for field in message.fields
        }
    return found
