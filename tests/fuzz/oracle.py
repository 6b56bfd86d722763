"""What no answer may be, whatever was asked."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

STATUSES = {
    *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"),
    *("UNAUTHENTICATED", "FAILED_PRECONDITION", "CANCELLED"),
}
"""What a call may end with; CANCELLED where we gave up or broke the protocol."""
HTTP_STATUSES = {200, 400, 404, 405, 411, 413, 414, 415, 417, 426, 429, 431, 501}
_LEAK = re.compile(
    rb"Traceback|File \"|\.py\b|\b[A-Z]\w*(?:Error|Exception)\b|site-packages|/usr/|/home/"
    rb"|0x[0-9a-f]{8}"
)
_MOST_KEPT = 20


@dataclass
class Verdicts:
    """What came back, and what of it should not have."""

    ended: Counter[str] = field(default_factory=Counter)
    """Requests by kind and status."""
    problems: list[str] = field(default_factory=list)
    """The first few, with the request's bytes in hexadecimal."""
    failures: int = 0

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.ended.total()

    def status(self, kind: str, status: str, text: str, request: bytes) -> None:
        """A gRPC call ended."""
        self.ended[f"{kind} {status}"] += 1
        if status not in STATUSES:
            self.problem(f"{kind}: {status}: {text}", request)
        self.text(kind, text.encode(), request)

    def http(self, kind: str, status: int, body: bytes, request: bytes) -> None:
        """An HTTP request was answered."""
        self.ended[f"{kind} {status}"] += 1
        if status not in HTTP_STATUSES:
            self.problem(f"{kind}: {status}: {body[:200]!r}", request)
        if status != 200:
            self.text(kind, body, request)

    def raw(self, kind: str, answer: bytes, request: bytes) -> None:
        """Raw bytes were answered, or the connection was closed."""
        self.ended[f"{kind} {'answered' if answer else 'closed'}"] += 1
        self.text(kind, answer, request)

    def text(self, kind: str, text: bytes, request: bytes) -> None:
        """Text came back that a caller may read: it holds nothing of our inside.

        What stands in the request itself is the caller's own.
        """
        for found in _LEAK.findall(text):
            if found not in request:
                self.problem(f"{kind}: leaks {found!r} in {text[:200]!r}", request)

    def problem(self, text: str, request: bytes = b"") -> None:
        """Note what should not be."""
        self.failures += 1
        if len(self.problems) < _MOST_KEPT:
            self.problems.append(f"{text} | request {request[:400].hex()}")
