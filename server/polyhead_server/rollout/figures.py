"""Metrics of bundles side by side, and of those that come and go."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

from polyhead_server.errors import (
    DeadlineExceededError,
    InternalError,
    QueueFullError,
    RequestError,
)
from polyhead_server.metrics import SECONDS
from polyhead_server.quick_metrics import Counts, Spreads

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from prometheus_client import CollectorRegistry

    from polyhead_server.quick_metrics import Count, Spread
    from polyhead_server.rollout.traffic import Traffic

_MOST_VERSIONS = 16
"""Versions that are told apart; what was unloaded longest ago is forgotten first."""
_BY_VERSION = ("bundle_version",)
INTERNAL = "internal"
_OUR_FAULTS: dict[type[RequestError], str] = {
    InternalError: INTERNAL,
    QueueFullError: "overload",
    DeadlineExceededError: "deadline",
}
RELOADED, UNCHANGED, FAILED = "ok", "unchanged", "failed"


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """Metrics of one version, looked up once: they are written with every call."""

    documents: Count
    seconds: Spread
    errors: Counts
    version: str

    def answered(self, outcomes: Sequence[object], seconds: float) -> None:
        """A call was answered; what it says of some documents may be that they failed."""
        failed = [outcome for outcome in outcomes if isinstance(outcome, RequestError)]
        self.documents.inc(len(outcomes) - len(failed))
        self.seconds.observe(seconds)
        self.failed(*failed)

    def failed(self, *errors: BaseException) -> None:
        """A call, or a document of one, was not answered, for a reason that is the server's."""
        for kind, name in _OUR_FAULTS.items():
            if any(isinstance(error, kind) for error in errors):
                self.errors.labels(self.version, name).inc()


class BundleFigures:
    """What the bundles do beside each other.

    Args:
        registry: where to register.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counts:
            return Counts(name, text, labels, registry)

        self._documents = counter(
            "polyhead_bundle_documents_total", "Documents annotated by a bundle.", _BY_VERSION
        )
        self._seconds = Spreads(
            "polyhead_bundle_seconds",
            "Time of calls from reading to results, by the bundle that answered.",
            SECONDS,
            _BY_VERSION,
            registry,
        )
        self._errors = counter(
            "polyhead_bundle_errors_total",
            "Calls that a bundle did not answer in whole and that were not at fault themselves.",
            (*_BY_VERSION, "error"),
        )
        self._share = Gauge(
            "polyhead_bundle_traffic_ratio",
            "Part of the calls that name no version which a bundle answers.",
            (*_BY_VERSION, "role"),
            registry=registry,
        )
        self._loaded = Gauge(
            "polyhead_bundle_loaded_timestamp_seconds",
            "When a bundle that is served was loaded, in Unix time.",
            _BY_VERSION,
            registry=registry,
        )
        self.in_memory = Gauge(
            "polyhead_bundles", "Bundles in memory, those on their way out too.", registry=registry
        )
        self._agreement = counter(
            "polyhead_shadow_agreement_total",
            "Results of the primary that a shadow was asked for as well: agree or differ.",
            ("task", "result"),
        )
        self.copies = counter(
            "polyhead_shadow_documents_total",
            "Copies of documents for shadows: compared, dropped or failed.",
            ("result",),
        )
        for result in ("compared", "dropped", "failed"):
            self.copies.labels(result)
        self._versions: dict[str, VersionFigures] = {}

    def of(self, version: str, loaded: Collection[str]) -> VersionFigures:
        """The metrics of a version; those of others may be forgotten where they are not loaded."""
        self._loaded.labels(version).set(time.time())
        known = self._versions.pop(version, None)
        if known is None:
            self._forget(loaded)
            self._errors.labels(version, INTERNAL)  # 0 before the first, so that this is seen
            known = VersionFigures(
                self._documents.labels(version),
                self._seconds.labels(version),
                self._errors,
                version,
            )
        self._versions[version] = known
        return known

    def gone(self, version: str) -> None:
        """A version is served no more."""
        with contextlib.suppress(KeyError):
            self._loaded.remove(version)

    def traffic(self, traffic: Traffic, loaded: Collection[str]) -> None:
        """Say who gets what."""
        self._share.clear()
        for version in loaded:
            self._share.labels(version, traffic.role(version)).set(traffic.part(version))

    def compared(self, task: str, *, agree: bool) -> None:
        """A shadow's result was compared with the primary's."""
        self._agreement.labels(task, "agree" if agree else "differ").inc()

    def _forget(self, loaded: Collection[str]) -> None:
        old = [version for version in self._versions if version not in loaded]
        for version in old[: max(0, len(self._versions) - _MOST_VERSIONS + 1)]:
            del self._versions[version]
            self._documents.remove(version)
            self._seconds.remove(version)
            for name in _OUR_FAULTS.values():
                self._errors.remove(version, name)


class ReloadFigures:
    """How reloads went. One process counts them, however many workers there are.

    Args:
        registry: where to register.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results = Counter(
            "polyhead_reload_total",
            "Bundles asked for: ok, unchanged where it was loaded already, or failed.",
            ("result",),
            registry=registry,
        )
        self._last = Gauge(
            "polyhead_last_reload_successful",
            "Whether the last bundle asked for is served: 1, or else 0.",
            registry=registry,
        )
        self._last.set(1)
        for result in (RELOADED, UNCHANGED, FAILED):
            self._results.labels(result)

    def ended(self, result: str) -> None:
        """A reload ended."""
        self._results.labels(result).inc()
        self._last.set(result != FAILED)
