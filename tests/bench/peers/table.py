"""The peers' table."""

from __future__ import annotations

from typing import Any

_NOTE = """\
ratio: our texts/s over the peer's, both in the form that suits the peer best; single: with one text
a call. CPU: its processor time a text over ours. p99, ms: one text a call, open loop, both at the
load that is 60 % of the peer's capacity."""
_HEADINGS = (
    f"{'peer':>24} {'texts':>5} {'form':>8} {'peer/s':>8} {'ours/s':>8} {'ratio':>6}"
    f" {'single':>6} {'target':>6} {'CPU':>5} {'load/s':>7} {'p99 peer':>9} {'p99 ours':>9}"
)


def table(found: dict[str, Any]) -> str:
    """All peers as text."""
    rows = [_HEADINGS]
    for peer in found["peers"].values():
        rows += [_row(peer, kind, one) for kind, one in peer["kinds"].items()]
        rows.append(_told(peer))
    return "\n".join([*rows, "", _NOTE, f"weights of the peers: {found['weights']}"])


def missed(found: dict[str, Any]) -> list[str]:
    """Peers that did not come up, and bars that were not reached, in words."""
    failed = [f"{title}: {said}" for title, said in found["failed"].items()]
    return failed + [
        f"{peer['title']}, {kind}: {said}"
        for peer in found["peers"].values()
        for kind, one in peer["kinds"].items()
        for said in _short_of(peer, one)
    ]


def _short_of(peer: dict[str, Any], one: dict[str, Any]) -> list[str]:
    found = []
    if one["ratio"] < peer["target"]:
        found.append(f"{one['ratio']:.1f} times, not {peer['target']:.0f}")
    p99 = one["latency"]["p99"]
    if p99["ours"] >= p99["peer"]:
        found.append(f"p99 {1e3 * p99['ours']:.1f} ms against {1e3 * p99['peer']:.1f} ms")
    return found


def _row(peer: dict[str, Any], kind: str, one: dict[str, Any]) -> str:
    each, p99 = one["texts_per_second"], one["latency"]["p99"]
    return (
        f"{peer['title']:>24} {kind:>5} {one['form']:>8}"
        f" {each['peer']:>8,.0f} {each['ours']:>8,.0f} {one['ratio']:>6.1f}"
        f" {one['ratio_by_form']['single']:>6.1f} {peer['target']:>6.0f}"
        f" {one['cpu_ratio']:>5.1f} {one['latency']['offered_per_second']:>7,.0f}"
        f" {1e3 * p99['peer']:>9.1f} {1e3 * p99['ours']:>9.1f}"
    )


def _told(peer: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
    memory = {name: size / 2**20 for name, size in peer["memory_bytes"].items()}
    return (
        f"{'':>24} {versions}; memory {memory['peer']:,.0f} MB against {memory['ours']:,.0f} MB; "
        f"ready after {peer['seconds_to_ready']:.1f} s; idle {peer['idle_cpus']:.2f} processors"
    )
