"""Where a pretrained encoder comes from, and what its family does in its own way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


_PADDED_POSITIONS = {
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "mpnet",
    "data2vec-text",
}
"""Families that count positions from the one after the padding's."""


def position_offset(settings: Any) -> int:
    """Position id of a window's first token.

    Args:
        settings: the encoder's configuration, of any transformers class.
    """
    return settings.pad_token_id + 1 if settings.model_type in _PADDED_POSITIONS else 0
