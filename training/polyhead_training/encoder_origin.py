"""Which pretrained encoder a run began from, for the record.

Bundles leave the machine, so no path of it goes into them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyhead_training.pretrain_result import RECORD

if TYPE_CHECKING:
    from polyhead_training.config import EncoderConfig

ORIGIN = "made-from.json"
"""File of a run directory's encoder that tells."""


@dataclass(frozen=True, slots=True)
class EncoderOrigin:
    """What is known of the encoder that a run began from."""

    model: str
    """Hub id; or the name that pre-training gave it; else what the configuration names."""
    stand_in: bool = False
    """Whether a local directory that says nothing of itself was given for that model."""


def encoder_origin(config: EncoderConfig, given: str | None) -> EncoderOrigin:
    """What is known of an encoder.

    The name in the encoder's own ``config.json`` is not asked: it is often that of a model which
    this one was made from, or a path.

    Args:
        config: the encoder's part of a configuration.
        given: hub id or path in place of the configured one, if any.
    """
    named = given or config.model
    if not Path(named).is_dir():
        return EncoderOrigin(named)
    if name := _pretrained_name(Path(named)):
        return EncoderOrigin(name)
    return EncoderOrigin(config.model, stand_in=named != config.model)


def _pretrained_name(folder: Path) -> str:
    """The name that `polyhead-train pretrain` noted; empty where it did not make the directory."""
    name = _read(folder / RECORD).get("name")
    return name if isinstance(name, str) else ""


def keep_origin(origin: EncoderOrigin, folder: Path) -> None:
    """Write it beside the encoder's configuration in a run directory."""
    (folder / ORIGIN).write_text(json.dumps(asdict(origin)) + "\n", encoding="utf-8")


def kept_origin(config: EncoderConfig, folder: Path) -> EncoderOrigin:
    """What a run directory's encoder folder tells; older ones go by the configuration alone."""
    known = _read(folder / ORIGIN)
    return EncoderOrigin(known.get("model", config.model), known.get("stand_in", False))


def _read(file: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
