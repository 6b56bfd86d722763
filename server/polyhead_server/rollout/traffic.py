"""Which calls go to which bundle."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from polyhead_server.errors import InvalidRequestError, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DIGEST_BYTES = 8
_WHOLE = 1 << 8 * _DIGEST_BYTES
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the calls for one bundle."""

    version: str
    part: float
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which calls go to which bundle."""

    primary: str
    """Version of the bundle that answers by default."""
    canaries: tuple[Share, ...] = ()
    """Versions that answer a part of the calls instead."""
    shadows: tuple[Share, ...] = ()
    """Versions that get a copy of a part of the primary's calls."""

    def canary(self, request_id: str) -> str | None:
        """The canary that a call falls to; None for the primary."""
        place = place_of(request_id)
        for share in self.canaries:
            place -= share.part
            if place < 0:
                return share.version
        return None

    def shadows_of(self, request_id: str) -> Iterator[str]:
        """The shadows that a call is copied to."""
        for share in self.shadows:
            if share.part >= 1 or place_of(request_id, share.version) < share.part:
                yield share.version

    def role(self, version: str) -> str:
        """What a version is there for: primary, canary, shadow or standby."""
        if version == self.primary:
            return "primary"
        if any(share.version == version and share.part for share in self.canaries):
            return "canary"
        return "shadow" if any(share.version == version for share in self.shadows) else "standby"

    def part(self, version: str) -> float:
        """The part of the calls that name no version which it answers."""
        if version == self.primary:
            return 1.0 - sum(share.part for share in self.canaries)
        return sum(share.part for share in self.canaries if share.version == version)

    def without(self, version: str) -> Traffic:
        """The same with nothing for a version that is not the primary."""
        return replace(
            self,
            canaries=tuple(share for share in self.canaries if share.version != version),
            shadows=tuple(share for share in self.shadows if share.version != version),
        )

    def led_by(self, version: str) -> Traffic:
        """The same with another primary."""
        return replace(self.without(version), primary=version)

    def check(self, loaded: Iterable[str]) -> None:
        """Raise where it cannot be.

        Raises:
            InvalidRequestError: a part is none, a version is named twice or not loaded.
        """
        known = frozenset(loaded)
        problems = [*self._part_problems(), *self._version_problems(known)]
        if problems:
            raise InvalidRequestError(problems)

    def _part_problems(self) -> Iterator[Violation]:
        for name, shares in (("canaries", self.canaries), ("shadows", self.shadows)):
            for index, share in enumerate(shares):
                if not 0 <= share.part <= 1:  # so NaN is none either
                    yield Violation(f"traffic.{name}[{index}].part", "is not from 0 to 1")
        if math.fsum(share.part for share in self.canaries) > 1 + _ROUNDING:
            yield Violation("traffic.canaries", "have more than 1 in all")

    def _version_problems(self, known: frozenset[str]) -> Iterator[Violation]:
        if self.primary not in known:
            yield Violation("traffic.primary_version", _not_loaded(known))
        for name, shares in (("canaries", self.canaries), ("shadows", self.shadows)):
            seen = {self.primary}
            for index, share in enumerate(shares):
                where = f"traffic.{name}[{index}].bundle_version"
                if share.version not in known:
                    yield Violation(where, _not_loaded(known))
                elif share.version in seen:
                    yield Violation(where, "is the primary or named before")
                seen.add(share.version)


def place_of(request_id: str, salt: str = "") -> float:
    """Where a call falls, from 0 to 1: the same for the same id, and even over all ids."""
    digest = hashlib.blake2b(
        request_id.encode("utf-8", "surrogatepass"),
        digest_size=_DIGEST_BYTES,
        key=salt.encode()[: hashlib.blake2b.MAX_KEY_SIZE],
    )
    return int.from_bytes(digest.digest()) / _WHOLE


def _not_loaded(known: Iterable[str]) -> str:
    return f"is not loaded; there are {', '.join(map(repr, sorted(known)))}"
