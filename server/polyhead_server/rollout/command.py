"""The command `polyhead-server bundles`, which tells a running server what to serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from polyhead_server.errors import PolyheadError, SettingsError
from polyhead_server.security.tokens import first_token
from polyhead_server.security.watched import read_bytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    import grpc

    from polyhead.admin.v1 import admin_service_pb2 as pb
    from polyhead.admin.v1.admin_service_pb2_grpc import AdminServiceStub

    Ask = Callable[[AdminServiceStub, argparse.Namespace, dict[str, Any]], object]

_PATIENCE_SECONDS = 300.0


def add_bundles(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `polyhead-server`."""
    parser = commands.add_parser(
        "bundles",
        help="list, load, share traffic among and unload the bundles of a running server",
        description="Asks a running server, by its admin port, to change what it serves; prints "
        "what it serves then.",
        allow_abbrev=False,
    )
    parser.add_argument("--admin", required=True, metavar="ADDRESS", help="the admin port")
    parser.add_argument("--token-file", type=Path, metavar="PATH", help="file with the token")
    parser.add_argument("--ca", type=Path, metavar="PATH", help="use TLS; PEM file of authorities")
    parser.add_argument(
        "--cert", type=Path, metavar="PATH", help="with --ca: a client certificate to show, PEM"
    )
    parser.add_argument("--key", type=Path, metavar="PATH", help="its key")
    parser.add_argument(
        "--server-name", metavar="NAME", help="with --ca: the name in the server's certificate"
    )
    parser.set_defaults(command=_run, ask=_list)
    asks = parser.add_subparsers(metavar="WHAT")
    asks.add_parser("list", help="list the loaded bundles: what is done without WHAT, too")
    reload = asks.add_parser("reload", help="load a bundle and let it be primary")
    reload.add_argument(
        "path", nargs="?", default="", help="its folder on the server; that of the start if none"
    )
    reload.add_argument("--beside", action="store_true", help="leave the primary as it is")
    reload.set_defaults(ask=_reload)
    traffic = asks.add_parser("traffic", help="say which calls go where; replaces what was said")
    traffic.add_argument("--primary", default="", metavar="VERSION", help="answers by default")
    for name in ("canary", "shadow"):
        text = f"a {name} and its part of the calls, such as 2026.2=0.1; may be repeated"
        traffic.add_argument(
            f"--{name}", action="append", default=[], metavar="VERSION=PART", help=text
        )
    traffic.set_defaults(ask=_set_traffic)
    unload = asks.add_parser("unload", help="free a bundle")
    unload.add_argument("version")
    unload.set_defaults(ask=_unload)


def _run(parsed: argparse.Namespace) -> int:
    import grpc  # noqa: PLC0415 - slow to import

    from polyhead.admin.v1.admin_service_pb2_grpc import AdminServiceStub  # noqa: PLC0415

    how: dict[str, Any] = {"timeout": _PATIENCE_SECONDS, "metadata": _metadata(parsed)}
    ask: Ask = parsed.ask
    with _channel(parsed) as channel:
        stub = AdminServiceStub(channel)
        try:
            ask(stub, parsed, how)
            _show(_list(stub, parsed, how))
        except grpc.RpcError as error:
            raise PolyheadError(f"{error.code().name}: {error.details()}") from None
    return 0


def _list(
    stub: AdminServiceStub, _: argparse.Namespace, how: dict[str, Any]
) -> pb.ListBundlesResponse:
    from polyhead.admin.v1 import admin_service_pb2 as pb  # noqa: PLC0415

    answer: pb.ListBundlesResponse = stub.ListBundles(pb.ListBundlesRequest(), **how)
    return answer


def _reload(stub: AdminServiceStub, parsed: argparse.Namespace, how: dict[str, Any]) -> object:
    from polyhead.admin.v1 import admin_service_pb2 as pb  # noqa: PLC0415

    return stub.ReloadBundle(pb.ReloadBundleRequest(path=parsed.path, beside=parsed.beside), **how)


def _set_traffic(stub: AdminServiceStub, parsed: argparse.Namespace, how: dict[str, Any]) -> object:
    from polyhead.admin.v1 import admin_service_pb2 as pb  # noqa: PLC0415

    traffic = pb.Traffic(
        primary_version=parsed.primary,
        canaries=_shares("--canary", parsed.canary),
        shadows=_shares("--shadow", parsed.shadow),
    )
    return stub.SetTraffic(pb.SetTrafficRequest(traffic=traffic), **how)


def _unload(stub: AdminServiceStub, parsed: argparse.Namespace, how: dict[str, Any]) -> object:
    from polyhead.admin.v1 import admin_service_pb2 as pb  # noqa: PLC0415

    return stub.UnloadBundle(pb.UnloadBundleRequest(bundle_version=parsed.version), **how)


def _shares(flag: str, given: Sequence[str]) -> list[pb.Share]:
    from polyhead.admin.v1 import admin_service_pb2 as pb  # noqa: PLC0415

    found = []
    for text in given:
        version, _, part = text.rpartition("=")
        try:
            found.append(pb.Share(bundle_version=version, part=float(version and part)))
        except ValueError:
            raise SettingsError([f"{flag}: {text!r} is not VERSION=PART"]) from None
    return found


def _channel(parsed: argparse.Namespace) -> grpc.Channel:
    import grpc  # noqa: PLC0415

    options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]  # a server of one's own
    _check_tls(parsed)
    if parsed.ca is None:
        return grpc.insecure_channel(parsed.admin, options)
    if parsed.server_name is not None:
        options.append(("grpc.ssl_target_name_override", parsed.server_name))
    key, cert = (None if file is None else read_bytes(file) for file in (parsed.key, parsed.cert))
    credentials = grpc.ssl_channel_credentials(read_bytes(parsed.ca), key, cert)
    return grpc.secure_channel(parsed.admin, credentials, options)


def _check_tls(parsed: argparse.Namespace) -> None:
    problems = []
    if (parsed.cert is None) != (parsed.key is None):
        problems.append("--cert, --key: give both, or neither")
    if parsed.ca is None and (parsed.cert or parsed.server_name):
        problems.append("--ca: certificates and names are for TLS: say by whom the server's is")
    if problems:
        raise SettingsError(problems)


def _metadata(parsed: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    if parsed.token_file is None:
        return ()
    return (("authorization", f"Bearer {first_token(parsed.token_file)}"),)


def _show(listed: pb.ListBundlesResponse) -> None:
    traffic = listed.traffic
    canaries = {share.bundle_version: share.part for share in traffic.canaries}
    shadows = {share.bundle_version: share.part for share in traffic.shadows}
    table = Table("version", "name", "answers", "shadows", "path", box=None, pad_edge=False)
    for bundle in listed.bundles:
        primary = bundle.version == traffic.primary_version
        part = 1 - sum(canaries.values()) if primary else canaries.get(bundle.version, 0.0)
        shadow = shadows.get(bundle.version, 0.0)
        table.add_row(bundle.version, bundle.name, f"{part:.1%}", f"{shadow:.1%}", bundle.path)
    Console(highlight=False).print(table)
