"""Where a pretrained encoder comes from: a directory, the hub, or the hub's cache."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

_PATIENCE = 10.0
"""Seconds that the hub has to answer."""


def only_local(encoder: str) -> bool:
    """Whether an encoder can be taken from this machine only.

    The hub is asked once, since its own client tries for most of a minute, and with a warning for
    each try, where there is no network.

    Args:
        encoder: hub id or directory.

    Raises:
        ValueError: neither a directory nor a possible hub id.
    """
    if Path(encoder).is_dir():
        return True
    try:
        HfApi().model_info(encoder, timeout=_PATIENCE)
    except OSError:  # of the network, or the hub's refusal
        return True
    return False
