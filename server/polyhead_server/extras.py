"""Parts of the server that need packages which are not always installed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from polyhead_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def needs_extra(name: str, wanting: str) -> Iterator[None]:
    """Say what to install, where the imports in the block fail.

    Args:
        name: the extra of the distribution.
        wanting: what needs the package, and the verb, such as "tracing needs".

    Raises:
        StartError: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise StartError(f"{wanting} {error.name}: install polyhead-server[{name}]") from None
