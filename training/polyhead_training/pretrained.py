"""Where a pretrained encoder comes from, and what its family does in its own way."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi

from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyhead_training.network import Encoder

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


@contextmanager
def loading(config: Path, encoder: str) -> Iterator[None]:
    """Says what is wrong with an encoder that cannot be loaded.

    Args:
        config: the configuration that wants it.
        encoder: hub id or directory.

    Raises:
        TrainingError: whatever went wrong.
    """
    try:
        yield
    except TrainingError as error:
        raise TrainingError(f"{config}: {error}") from error
    except Exception as error:  # a directory of something else makes transformers raise anything
        raise TrainingError(
            f"the encoder {encoder!r} cannot be loaded ({type(error).__name__}): give a hub id "
            "that can be reached, or a directory with its files, by --encoder"
        ) from error


def check_positions(config: Path, max_tokens: int, encoder: Encoder) -> None:
    """Make sure that an encoder has positions for the windows that a configuration wants.

    Raises:
        TrainingError: it has too few.
    """
    most = encoder.most_tokens
    if most is not None and max_tokens > most:
        raise TrainingError(
            f"{config}: max_tokens is {max_tokens}, but the encoder reads windows of at most "
            f"{most} tokens"
        )
