"""Each fault in short, done to a real server: nothing accepted is lost, and all is well after."""

from __future__ import annotations

import pytest

from tests.chaos.size import SHORT
from tests.chaos.trials import TRIALS


@pytest.mark.parametrize("name", TRIALS)
def test_chaos(name, tiny_bundle, tmp_path):
    """The trial finds no problem."""
    result = TRIALS[name](tiny_bundle, tmp_path, SHORT)
    assert result.problems == [], result.plain()
