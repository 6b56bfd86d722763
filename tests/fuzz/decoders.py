"""What reads bytes of strangers, in this process: by atheris where it is, else by mutation alone.

Each reader may refuse with the error that it documents, and with nothing else.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead_server.bundle import MANIFEST, identify_bundle
from polyhead_server.errors import BundleError, RequestError
from polyhead_server.inference import open_inference_pb2 as oip
from polyhead_server.inference.json_wire import infer_request
from polyhead_server.received import Decoder
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.fuzz import seeds
from tests.fuzz.mutations import mutated

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Reader = Callable[[bytes], object]

_DECODERS = {
    "annotate": Decoder(pb.AnnotateRequest),
    "stream": Decoder(pb.AnnotateStreamRequest),
    "infer": Decoder(oip.ModelInferRequest),
}


def _decode(name: str, data: bytes) -> None:
    received = _DECODERS[name](data)
    with contextlib.suppress(RequestError):
        received.sound()


def _read_json(data: bytes) -> None:
    header, _, body = data.partition(b"\n")
    for length in (None, header[:8].decode("latin-1")):
        with contextlib.suppress(RequestError):
            infer_request("sentiment", "", data if length is None else body, length)


def _read_manifest(folder: Path, data: bytes) -> None:
    (folder / MANIFEST).write_bytes(data)
    with contextlib.suppress(BundleError):
        identify_bundle(folder)


def readers(folder: Path) -> dict[str, Reader]:
    """What is to be tried, by name."""
    return {
        "annotate": lambda data: _decode("annotate", data),
        "stream": lambda data: _decode("stream", data),
        "infer": lambda data: _decode("infer", data),
        "json": _read_json,
        "manifest": lambda data: _read_manifest(folder, data),
    }


def corpora(size: int, number: int) -> dict[str, list[bytes]]:
    """Right inputs of each reader."""
    manifest = (DEFAULT_BUNDLE / MANIFEST).read_bytes()
    small = json.loads(manifest)
    small["provenance"] = {}
    return {
        "annotate": seeds.pool(seeds.ANNOTATE, size, number),
        "stream": seeds.pool(seeds.STREAM, size, number),
        "infer": seeds.pool(seeds.INFER, size, number),
        "json": seeds.pool(seeds.INFER_JSON, size, number),
        "manifest": [manifest[:15_000], json.dumps(small).encode()],
    }


def try_readers(rounds: int, rng: random.Random, size: int) -> dict[str, int]:
    """Give each reader mutated inputs; how many each had.

    Raises:
        Exception: whatever a reader raised that it does not document.
    """
    known = corpora(size, rng.randrange(2**32))
    with tempfile.TemporaryDirectory() as folder:
        found = readers(Path(folder))
        for _ in range(rounds):
            for name, read in found.items():
                read(mutated(rng.choice(known[name]), known[name], rng))
    return dict.fromkeys(known, rounds)


def try_with_atheris(seconds: float, size: int, number: int) -> dict[str, str]:
    """Have atheris search for inputs that a reader cannot bear; what came of it, by reader."""
    if find_spec("atheris") is None:
        return {}
    told = {}
    for name, inputs in corpora(size, number).items():
        with tempfile.TemporaryDirectory() as folder:
            corpus = Path(folder) / "corpus"
            corpus.mkdir()
            for index, data in enumerate(inputs):
                (corpus / str(index)).write_bytes(data)
            command = [sys.executable, "-m", "tests.fuzz.atheris_target", name, str(corpus)]
            limits = [f"-max_total_time={max(1, round(seconds))}", "-timeout=10", f"-seed={number}"]
            start = time.monotonic()
            run = subprocess.run(
                [*command, *limits, f"-artifact_prefix={folder}/"],
                capture_output=True,
                text=True,
                check=False,
                timeout=10 * seconds + 60,
            )
            lines = run.stderr.splitlines()
            done = [line for line in lines if line.startswith("Done ")]
            told[name] = done[-1] if done and run.returncode == 0 else "\n".join(lines[-30:])
            told[name] += f" ({time.monotonic() - start:.0f} s, status {run.returncode})"
    return told
