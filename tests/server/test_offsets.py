"""Offsets in every unit agree with the encodings themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polyhead_server.offsets import Unit, in_unit

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def length(text, unit):
    if unit is Unit.UTF8_BYTE:
        return len(text.encode())
    if unit is Unit.UTF16:
        return len(text.encode("utf-16-le")) // 2
    return len(text)


@given(TEXTS, st.sampled_from(Unit), st.data())
def test_offsets_count_the_text_before_them(text, unit, data):
    """An offset is the length of the text before it, in the unit."""
    bounds = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(bounds, bounds), max_size=5))
    expected = [(length(text[:a], unit), length(text[:b], unit)) for a, b in spans]
    assert list(in_unit(text, unit, spans)) == expected


def test_nothing_is_copied_where_nothing_changes():
    """ASCII text, and text of plane zero in UTF-16, cost nothing."""
    spans = [(0, 1)]
    assert in_unit("plain", Unit.UTF8_BYTE, spans) is spans
    assert in_unit("plain", Unit.UTF16, spans) is spans
    assert in_unit("naïve 中文", Unit.UTF16, spans) is spans
    assert in_unit("😀", Unit.CODE_POINT, spans) is spans
