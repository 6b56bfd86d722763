"""Which validation's weights were kept, by a run's history."""

import json

import pytest

from polyhead_training.report.history import read_history


@pytest.mark.parametrize(
    ("scores", "kept", "best"),
    [
        ([0.5, 0.7, 0.6], [True, True, False], 1),
        ([0.0, 0.0, 0.0], [True, True, True], 2),
        ([0.5, 0.7, 0.6], None, 1),
    ],
)
def test_the_last_that_was_kept_gave_the_weights(tmp_path, scores, kept, best):
    """Also where nothing was measured; a history that does not tell goes by the score."""
    entries = [
        {"step": step, "seconds": 1.0, "loss": 0.1, "score": score, "figures": []}
        | ({} if kept is None else {"best": kept[step]})
        for step, score in enumerate(scores)
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))

    assert read_history(tmp_path).best == best
