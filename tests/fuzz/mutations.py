"""Bytes made wrong, a little at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_TOKENS = (
    *(b"\x00", b"\xff", b"\x80", b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\x0a\x00"),
    *(b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x08\x96\x01", b"\x12\xff\x7f"),
    *(b"{", b"}", b"[" * 40, b'"', b"\\ud800", b"1e999", b"-0", b"null", b"NaN", b"\r\n", b": "),
)


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The same with one to four changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        _change(changed, others, rng)
    return bytes(changed[:20_000])


def _change(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(7):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1 if at < len(data):
            data[at] = rng.randrange(256)
        case 2:
            del data[at : at + rng.randint(1, 8)]
        case 3:
            data[at:at] = rng.choice(_TOKENS)
        case 4:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        case 5:
            data[at:] = rng.choice(others)[rng.randrange(64) :]
        case _:
            part = data[at : at + rng.randint(1, 32)]
            data[at:at] = part * rng.randint(1, 4)
