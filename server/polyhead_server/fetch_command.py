"""The command `polyhead-server fetch-bundle`, which brings a bundle to where it is served."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from polyhead_server.bundle_download import Source, fetch_bundle
from polyhead_server.errors import SettingsError

if TYPE_CHECKING:
    import argparse

URL_VARIABLE = "POLYHEAD_BUNDLE_URL"
"""Environment variable that may hold the URL: other users of a machine can see arguments."""

_SHA256 = re.compile(r"(sha256:)?[0-9a-fA-F]{64}")
_MOST_BYTES = 4 << 30
_PATIENCE_SECONDS = 60.0


def add_fetch_bundle(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `polyhead-server`."""
    parser = commands.add_parser(
        "fetch-bundle",
        help="fetch a bundle's archive over https and unpack it, if it has the digest given",
        description="Fetches a tar archive of a bundle, by https or by a presigned URL of an "
        "object store, refuses it unless it has the digest given, unpacks it, verifies the bundle "
        "and puts it in its place. A bundle that is there by the same digest is verified and kept.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "url", nargs="?", metavar="URL", help=f"the archive; {URL_VARIABLE} if not given"
    )
    parser.add_argument("--sha256", required=True, metavar="HEX", help="the archive's digest")
    parser.add_argument(
        "--to", required=True, type=Path, metavar="DIR", help="where the bundle is to be"
    )
    parser.add_argument(
        "--max-bytes",
        type=int,
        default=_MOST_BYTES,
        metavar="N",
        help=f"bytes that archive and files may have at most; {_MOST_BYTES} if not given",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=_PATIENCE_SECONDS,
        metavar="SECONDS",
        help=f"time without a byte until it fails; {_PATIENCE_SECONDS:g} if not given",
    )
    parser.add_argument(
        "--ca", type=Path, metavar="PATH", help="PEM file with authorities, beside the system's"
    )
    parser.add_argument(
        "--plain-http", action="store_true", help="allow http: the digest is checked all the same"
    )
    parser.set_defaults(command=_fetch)


def _fetch(parsed: argparse.Namespace) -> int:
    bundle = fetch_bundle(_source(parsed), parsed.to)
    print(f"{bundle.name} {bundle.version} is in {parsed.to}")  # noqa: T201 - what was asked for
    return 0


def _is_url(text: str) -> bool:
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True


def _source(parsed: argparse.Namespace) -> Source:
    url = parsed.url or os.environ.get(URL_VARIABLE, "")
    problems = []
    if not url:
        problems.append(f"URL: give one, or set {URL_VARIABLE}")
    elif not _is_url(url):
        problems.append("URL: it is none")  # not shown: it may hold a signature
    if not parsed.to.name:
        problems.append(f"--to: {parsed.to} is no name of a folder that can be replaced")
    if _SHA256.fullmatch(parsed.sha256) is None:
        problems.append("--sha256: 64 hexadecimal digits are needed")
    if parsed.max_bytes < 1:
        problems.append(f"--max-bytes: {parsed.max_bytes} is less than 1")
    if not 0 < parsed.timeout < math.inf:
        problems.append(f"--timeout: {parsed.timeout} is not above 0")
    if parsed.ca is not None and not parsed.ca.is_file():
        problems.append(f"--ca: there is no file {parsed.ca}")
    if problems:
        raise SettingsError(problems)
    return Source(
        url=url,
        sha256=parsed.sha256.removeprefix("sha256:").lower(),
        most_bytes=parsed.max_bytes,
        timeout=parsed.timeout,
        ca=parsed.ca,
        plain_http=parsed.plain_http,
    )
