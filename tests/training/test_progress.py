"""The lines that a run writes where there is no terminal."""

import io

import pytest
from rich.console import Console

from polyhead_training import progress
from polyhead_training.progress import Reporter


@pytest.fixture
def said(monkeypatch):
    """What a run of four steps writes, the first of which comes after a given time."""

    def of(wait, seconds):
        clock = iter([0.0, *(wait + step * seconds for step in range(4))])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
        out = io.StringIO()
        with Reporter(Console(file=out, width=200)) as reporter:
            for step in range(4):
                reporter.step(step + 1, 10, 0.5, 1200)
        return out.getvalue().splitlines()

    return of


def test_a_line_every_half_minute(said):
    assert said(1.0, 15.0) == ["step 3/10  loss 0.500  80 tokens/s  2 min left"]


def test_no_rate_before_there_is_one(said):
    """The first step's own time is not known, however late it comes."""
    lines = said(100.0, 60.0)
    assert [line.split()[1] for line in lines] == ["2/10", "3/10", "4/10"]
    assert all("  20 tokens/s  " in line for line in lines)
