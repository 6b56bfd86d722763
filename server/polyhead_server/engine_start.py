"""From settings to an engine that is fit for callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from polyhead_server.engine import EngineOptions
from polyhead_server.self_check import check_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyhead_server.model import Model
    from polyhead_server.settings import Settings

_log = structlog.get_logger(__name__)


def engine_options(settings: Settings, threads: int) -> EngineOptions:
    """What the settings tell the engine.

    Args:
        settings: the server's.
        threads: threads that the engine has; there are no more streams than these.
    """
    return EngineOptions(
        threads=threads,
        precision=settings.precision,
        streams=min(settings.streams or threads, threads),
        compile_cache=settings.compile_cache,
    )


def prepare_engine(
    model: Model, settings: Settings, going_on: Callable[[], object]
) -> float | None:
    """Check an engine, and warm it for as long as the settings allow.

    Args:
        model: the model.
        settings: the server's.
        going_on: called before the check and after every length; may raise.

    Returns:
        Its relative error on fixed texts; None where there was nothing to compare with.

    Raises:
        BundleError: the bundle's reference cannot be read.
        StartError: the engine does not compute aright here. The model is closed.
    """
    most = max(settings.batch_tokens, model.bundle.manifest.tokenizer.max_tokens)

    def progress(done: int, of: int) -> None:
        _log.debug("warming", done=done, of=of)
        going_on()

    try:
        going_on()
        error = check_engine(model)
        left = model.warm(
            most,
            progress,
            seconds=settings.warm_seconds,
            together=settings.batch_tokens,
        )
    except BaseException:
        model.close()
        raise
    _log.debug("prepared", left=left)
    return None if error is None else round(error, 4)
