"""Fetching a bundle's archive from a web server or object store, whole and as its digest says."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import os
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from polyhead_server.bundle import identify_bundle, open_bundle
from polyhead_server.bundle_archive import extract_bundle
from polyhead_server.errors import BundleError

if TYPE_CHECKING:
    from polyhead_server.bundle import Bundle

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """Where an archive is, and what it must be."""

    url: str
    """May hold a signature: it is never shown or logged whole."""
    sha256: str
    """Digest of the archive, 64 hexadecimal digits in lower case."""
    most_bytes: int
    """Bytes of the archive at most, and of the files in it."""
    timeout: float
    """Seconds without a byte after which the attempt is given up."""
    ca: Path | None = None
    """PEM file with authorities of the server's certificate beside the system's."""
    plain_http: bool = False
    """Whether a URL may be http, too."""

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def fetch_bundle(source: Source, place: Path) -> Bundle:
    """Fetch an archive, check its digest, unpack it, verify the bundle, and put it in its place.

    A bundle that was fetched by the same digest before is verified and kept. Another one is
    replaced, only once the new one is there and verified.

    Raises:
        BundleError: any of that fails; what was in the place is as it was.
    """
    if (kept := _kept(source, place)) is not None:
        return kept
    try:
        _fetch(source, place)
    except OSError as error:
        raise BundleError(f"{error.filename or place}: {error.strerror or error}") from None
    return identify_bundle(place)


def _fetch(source: Source, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place.parent) as folder:
        archive, fresh = Path(folder) / "archive", Path(folder) / "fresh"
        fresh.mkdir()
        with archive.open("xb") as target:
            _download(source, target)
        found = extract_bundle(archive, fresh, most_bytes=source.most_bytes)
        archive.unlink()
        open_bundle(found)
        _swap(found, place, Path(folder) / "old")
    _record(place).write_text(source.sha256 + "\n", encoding="ascii")


def _record(place: Path) -> Path:
    """Holds the digest of the archive that the bundle in a place came from."""
    return place.with_name(place.name + ".sha256")


def _kept(source: Source, place: Path) -> Bundle | None:
    with contextlib.suppress(OSError, UnicodeDecodeError, BundleError):
        if _record(place).read_text(encoding="ascii").strip() == source.sha256:
            return open_bundle(place)
    return None


def _swap(fresh: Path, place: Path, old: Path) -> None:
    _record(place).unlink(missing_ok=True)
    if place.exists():
        place.replace(old)
    fresh.replace(place)
    if old.exists():
        shutil.rmtree(old, ignore_errors=True)


def _download(source: Source, target: IO[bytes]) -> None:
    _check_scheme(source, source.url)
    digest = hashlib.sha256()
    received = 0
    try:
        with _opener(source).open(source.url, timeout=source.timeout) as response:
            while chunk := response.read(_CHUNK_BYTES):
                received += len(chunk)
                if received > source.most_bytes:
                    raise BundleError(f"{source}: more than {source.most_bytes} bytes")
                digest.update(chunk)
                target.write(chunk)
    except urllib.error.HTTPError as error:
        raise BundleError(f"{source}: the server answered {error.code}") from None
    except urllib.error.URLError as error:
        raise BundleError(f"{source}: cannot be fetched: {_reason(error.reason)}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BundleError(f"{source}: cannot be fetched: {_reason(error)}") from None
    target.flush()
    os.fsync(target.fileno())
    if not hmac.compare_digest(digest.hexdigest(), source.sha256):
        raise BundleError(f"{source}: its sha256 is {digest.hexdigest()}, not what was asked for")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to where the first URL might have led, too."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_scheme(self._source, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(source: Source) -> urllib.request.OpenerDirector:
    """Opens http and https, and nothing else: no files, no FTP."""
    context = ssl.create_default_context()
    if source.ca is not None:
        context.load_verify_locations(source.ca)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(source),
    ):
        opener.add_handler(handler)
    return opener


def _check_scheme(source: Source, url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and source.plain_http):
        raise BundleError(f"{source}: {scheme or 'no scheme'} is not https")


def _reason(error: object) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, str) else type(error).__name__
