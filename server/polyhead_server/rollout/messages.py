"""Between the admin service's messages and the rollout's types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead.admin.v1 import admin_service_pb2 as pb
from polyhead_server.rollout.traffic import Share, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyhead_server.rollout.served import Served

_NANOSECONDS = 1_000_000_000


def bundle_message(served: Served) -> pb.Bundle:
    """A loaded bundle."""
    bundle = served.bundle
    message = pb.Bundle(
        name=bundle.name,
        version=bundle.version,
        identity=bundle.identity,
        path=str(bundle.path),
        tasks=[head.name for head in bundle.heads],
    )
    message.loaded_at.FromNanoseconds(int(served.loaded_at * _NANOSECONDS))
    return message


def traffic_message(traffic: Traffic) -> pb.Traffic:
    """Which calls go where."""
    return pb.Traffic(
        primary_version=traffic.primary,
        canaries=_share_messages(traffic.canaries),
        shadows=_share_messages(traffic.shadows),
    )


def read_traffic(message: pb.Traffic, primary: str) -> Traffic:
    """Which calls go where; where no primary is named, it stays the one given."""
    return Traffic(
        message.primary_version or primary,
        tuple(Share(share.bundle_version, share.part) for share in message.canaries),
        tuple(Share(share.bundle_version, share.part) for share in message.shadows),
    )


def _share_messages(shares: Iterable[Share]) -> list[pb.Share]:
    return [pb.Share(bundle_version=share.version, part=share.part) for share in shares]
