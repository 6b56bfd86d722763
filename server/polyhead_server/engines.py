"""Engines by name: the server's own, and those that other distributions bring.

An engine is a function ``(bundle, options) -> Engine`` that a distribution names in its entry
points, group ``polyhead_server.engines``. So the server can run on libraries that it knows not.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, cast

from polyhead_server.errors import StartError

if TYPE_CHECKING:
    from polyhead_server.bundle import Bundle
    from polyhead_server.engine import Engine, EngineOptions

GROUP = "polyhead_server.engines"
OPENVINO = "openvino"
_BROUGHT_BY = {"torch": "polyhead-training"}


class EngineMaker(Protocol):
    """Makes the engine of a bundle; raises BundleError or StartError where it cannot."""

    def __call__(self, bundle: Bundle, options: EngineOptions, /) -> Engine:
        """Make the engine."""
        ...


def make_engine(name: str, bundle: Bundle, options: EngineOptions) -> Engine:
    """Make an engine by its name.

    Raises:
        BundleError: the bundle has nothing that such an engine could run.
        StartError: no such engine is installed, or the hardware lacks what it needs.
    """
    return find_engine(name)(bundle, options)


def find_engine(name: str) -> EngineMaker:
    """Import what an engine is made of. To be done before gRPC runs: some libraries fork on import.

    Raises:
        StartError: no such engine is installed, or it cannot be imported.
    """
    if name == OPENVINO:
        from polyhead_server.openvino_engine import open_engine  # noqa: PLC0415 - others need it not

        return open_engine
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        source = f", it comes with {_BROUGHT_BY[name]}" if name in _BROUGHT_BY else ""
        known = ", ".join(sorted({OPENVINO, *found}))
        raise StartError(f"the engine {name!r} is not installed{source}; installed: {known}")
    try:
        return cast("EngineMaker", found[name].load())
    except ImportError as error:
        raise StartError(
            f"the engine {name!r} cannot be loaded: it needs {error.name or error}"
        ) from None
