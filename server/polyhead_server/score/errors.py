"""What ends a run of offline scoring before it is done."""

from __future__ import annotations

from polyhead_server.errors import PolyheadError


class ScoreError(PolyheadError):
    """The run cannot begin or go on; what is finished is kept."""
