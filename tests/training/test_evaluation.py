"""Answers as a data set has them."""

import numpy as np
import pytest

from polyhead_server.bundle import HeadSpec
from polyhead_server.heads import TaggingOutput
from polyhead_training.evaluation import labels_of

SPEC = HeadSpec("kinds", "tagging", ("O", "NOUN", "VERB"), "heads/kinds.safetensors")
OUTPUT = TaggingOutput(np.array([2, 1, 0]), np.ones(3, np.float32))


@pytest.mark.parametrize(
    ("among", "tags"),
    [
        ((), ["VERB", "NOUN", "O"]),
        (("O", "NOUN", "VERB"), ["VERB", "NOUN", "O"]),
        (("O", "NOUN"), ["O", "NOUN", "O"]),
        (("NOUN", "VERB"), ["VERB", "NOUN", "O"]),
    ],
)
def test_tags_that_a_data_set_does_not_mark(among, tags):
    """Are O to it, where it has O: it says nothing about them, as in training."""
    assert labels_of(OUTPUT, SPEC, 3, among) == tags
