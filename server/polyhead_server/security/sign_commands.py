"""The commands `polyhead-server sign-bundle` and `verify-bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.bundle import open_bundle
from polyhead_server.security.signing import ensure_signed, sign_bundle

if TYPE_CHECKING:
    import argparse


def add_signing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to those of `polyhead-server`."""
    sign = commands.add_parser(
        "sign-bundle",
        help="sign a bundle, so that a server with --bundle-key takes it",
        description="Verifies a bundle and signs its manifest, which holds the digest of every "
        "other file, with an Ed25519 key. The signature is manifest.json.sig in the bundle.",
        allow_abbrev=False,
    )
    sign.add_argument("bundle", type=Path, help="folder of the bundle")
    sign.add_argument(
        "--key", type=Path, required=True, metavar="PATH", help="PEM file with the private key"
    )
    sign.set_defaults(command=_sign)
    verify = commands.add_parser(
        "verify-bundle",
        help="verify a bundle and its signature",
        description="Verifies every file of a bundle, and that it was signed with a key; ends with "
        "2 and one line where it is not so.",
        allow_abbrev=False,
    )
    verify.add_argument("bundle", type=Path, help="folder of the bundle")
    verify.add_argument(
        "--key", type=Path, required=True, metavar="PATH", help="PEM file with the public key"
    )
    verify.set_defaults(command=_verify)


def _sign(parsed: argparse.Namespace) -> int:
    file = sign_bundle(parsed.bundle, parsed.key)
    print(f"the signature is {file}")  # noqa: T201 - what was asked for
    return 0


def _verify(parsed: argparse.Namespace) -> int:
    bundle = open_bundle(parsed.bundle)
    ensure_signed(bundle, parsed.key)
    print(f"{bundle.name} {bundle.version}: every file has its digest, signed by that key")  # noqa: T201
    return 0
