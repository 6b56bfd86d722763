"""Each fault in short, done to a real server: nothing accepted is lost, and all is well after."""

from __future__ import annotations

import pytest

from tests.chaos.size import SHORT
from tests.chaos.trials import TRIALS, able

HERE = TRIALS | able()


@pytest.mark.parametrize("name", HERE)
def test_chaos(name, tiny_bundle, tmp_path):
    """The trial finds no problem."""
    result = HERE[name](tiny_bundle, tmp_path, SHORT)
    assert result.problems == [], result.plain()
