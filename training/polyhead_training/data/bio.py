"""Span tags: IOB1, IOB2 and BIOES (also called BILOU) in, BIO (IOB2) out."""

from collections.abc import Iterable

OUTSIDE = "O"
_STARTS = frozenset("BSU")
_ENDS = frozenset("ESLU")
_PREFIXES = frozenset("BIESLU")


def to_bio(tags: Iterable[str]) -> list[str | None]:
    """BIO tags of one sentence in any of the usual schemes; None for what is no span tag.

    A tag that continues a span of another label, or none, starts one, as conlleval reads it.
    """
    result: list[str | None] = []
    open_label = ""
    for tag in tags:
        if tag == OUTSIDE:
            result.append(OUTSIDE)
            open_label = ""
            continue
        prefix, dash, label = tag.partition("-")
        if not dash or not label or prefix not in _PREFIXES:
            result.append(None)
            open_label = ""
            continue
        starts = prefix in _STARTS or label != open_label
        result.append(f"{'B' if starts else 'I'}-{label}")
        open_label = "" if prefix in _ENDS else label
    return result
