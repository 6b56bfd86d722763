"""polyhead-server fetch-bundle: a bundle by https and digest, whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import shutil
import ssl
import tarfile
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from polyhead_server.bundle import open_bundle
from polyhead_server.bundle_download import Source, _opener
from polyhead_server.cli import main

CERTS = Path(__file__).parents[1] / "client" / "certs"
CERT, KEY = CERTS / "certificate.pem", CERTS / "key.pem"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *arguments):
        """Say nothing."""


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody to where `target` says."""

    target = ""

    def do_GET(self):
        self.send_response(302)
        self.send_header("location", self.target)
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing."""


@contextlib.contextmanager
def web(handler, *, tls=False):
    """A web server until the block ends; gives its URL."""
    with ThreadingHTTPServer(("localhost", 0), handler) as server:
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERT, KEY)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A folder that is served, by https; gives folder and URL."""
    folder = tmp_path_factory.mktemp("store")
    with web(functools.partial(Quiet, directory=str(folder)), tls=True) as url:
        yield folder, url


@pytest.fixture(scope="module")
def archive(store, tiny_bundle):
    """The tiny bundle as an archive in the store; gives its URL and digest."""
    folder, url = store
    with tarfile.open(folder / "tiny.tar.gz", "w:gz") as packed:
        packed.add(tiny_bundle, "tiny")
    return f"{url}/tiny.tar.gz", digest_of(folder / "tiny.tar.gz")


def test_further_authorities(tmp_path):
    """Those of --ca count beside the system's."""
    source = Source("https://x", "0" * 64, 1, 1.0, ca=CERT)
    for handler in _opener(source).handlers:
        if isinstance(handler, urllib.request.HTTPSHandler):
            found = handler._context.cert_store_stats()
    assert found["x509"] == ssl.create_default_context().cert_store_stats()["x509"] + 1


def digest_of(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def packed(store, name, *entries, **more):
    """Put an archive of these entries, each a TarInfo and its content, into the store."""
    folder, url = store
    with tarfile.open(folder / name, "w") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return f"{url}/{name}", digest_of(folder / name)


def fetch(url, digest, place, *more):
    return main(
        ["fetch-bundle", url, "--sha256", digest, "--to", str(place), "--ca", str(CERT), *more]
    )


def test_it_is_fetched_and_verified(archive, tmp_path, capsys):
    """The bundle is in its place, and nothing else beside it but its digest."""
    url, digest = archive
    assert fetch(url, f"sha256:{digest.upper()}", tmp_path / "bundle") == 0
    assert capsys.readouterr().out == f"tiny 1 is in {tmp_path / 'bundle'}\n"
    assert open_bundle(tmp_path / "bundle").name == "tiny"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["bundle", "bundle.sha256"]


def test_a_place_that_cannot_be_written(archive, tmp_path, capsys):
    """One line says where, as for everything else that fails."""
    url, digest = archive
    (tmp_path / "file").write_text("")
    assert fetch(url, digest, tmp_path / "file" / "bundle") == 2
    told = capsys.readouterr().err
    assert str(tmp_path / "file") in told
    assert "Traceback" not in told


def test_the_url_may_be_in_the_environment(archive, tmp_path, monkeypatch):
    """There other users of the machine cannot see a signature in it."""
    url, digest = archive
    monkeypatch.setenv("POLYHEAD_BUNDLE_URL", url)
    arguments = ["--sha256", digest, "--to", str(tmp_path / "b"), "--ca", str(CERT)]
    assert main(["fetch-bundle", *arguments]) == 0


def test_what_is_there_is_kept(archive, tmp_path):
    """By the same digest nothing is fetched again; unless it was damaged since."""
    url, digest = archive
    place = tmp_path / "bundle"
    assert fetch(url, digest, place) == 0
    assert fetch("https://localhost:1/gone.tar", digest, place) == 0
    (place / "encoder.bin").write_bytes(b"")
    assert fetch("https://localhost:1/gone.tar", digest, place) == 2
    assert fetch(url, digest, place) == 0
    assert open_bundle(place).name == "tiny"


def test_another_digest_replaces(store, archive, tiny_bundle, tmp_path):
    """A new archive takes the place of the old bundle; where it is bad the old one stays."""
    place = tmp_path / "bundle"
    assert fetch(*archive, place) == 0
    assert fetch(archive[0], "0" * 64, place) == 2
    assert open_bundle(place).name == "tiny"
    folder, url = store
    with tarfile.open(folder / "flat.tar", "w") as flat:
        flat.add(tiny_bundle, ".")
    other = digest_of(folder / "flat.tar")
    assert fetch(f"{url}/flat.tar", other, place) == 0
    assert (tmp_path / "bundle.sha256").read_text() == other + "\n"


def test_a_wrong_digest_is_refused(archive, tmp_path, capsys):
    """The archive is not unpacked, and nothing is left behind."""
    url, digest = archive
    assert fetch(f"{url}?signature=secret", "f" * 64, tmp_path / "bundle") == 2
    said = capsys.readouterr().err
    assert digest in said
    assert "secret" not in said
    assert list(tmp_path.iterdir()) == []


def entry(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry("../outside"), "leads out of the bundle"),
        (entry("/absolute"), "leads out of the bundle"),
        (entry("a/../../b"), "leads out of the bundle"),
        (entry("link", tarfile.SYMTYPE, "/etc"), "no plain file or folder"),
        (entry("hard", tarfile.LNKTYPE, "manifest.json"), "no plain file or folder"),
        (entry("device", tarfile.CHRTYPE), "no plain file or folder"),
        (entry("pipe", tarfile.FIFOTYPE), "no plain file or folder"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_entries_that_lead_elsewhere(store, bad, said, tmp_path, capsys):
    """Paths, links and devices are refused; nothing is written outside or left behind."""
    url, digest = packed(store, "bad.tar", (entry("manifest.json"), b"{}"), (bad, b""))
    assert fetch(url, digest, tmp_path / "inside" / "bundle") == 2
    assert said in capsys.readouterr().err
    assert [item.name for item in tmp_path.rglob("*")] == ["inside"]


def test_a_name_twice(store, tmp_path, capsys):
    """The second entry of a name is no way to change the first."""
    twice = [(entry("manifest.json"), b"{}"), (entry("manifest.json"), b"[]")]
    assert fetch(*packed(store, "twice.tar", *twice), tmp_path / "bundle") == 2
    assert "cannot be unpacked" in capsys.readouterr().err


@pytest.mark.parametrize("most", [100, 2_000])
def test_more_than_allowed(store, most, tmp_path, capsys):
    """Neither the archive nor what is in it may be larger, however well it packs."""
    folder, url = store
    with tarfile.open(folder / "zeros.tar.gz", "w:gz") as bomb:
        info = entry("zeros")
        info.size = 1_000_000
        bomb.addfile(info, io.BytesIO(bytes(1_000_000)))
    assert 100 < (folder / "zeros.tar.gz").stat().st_size < 2_000
    digest = digest_of(folder / "zeros.tar.gz")
    arguments = (tmp_path / "bundle", "--max-bytes", str(most))
    assert fetch(f"{url}/zeros.tar.gz", digest, *arguments) == 2
    assert f"more than {most} bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no archive", "cannot be read"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["text", "gzip", "empty"],
)
def test_what_is_no_archive(store, content, said, tmp_path, capsys):
    """One line says so."""
    folder, url = store
    (folder / "what").write_bytes(content)
    assert fetch(f"{url}/what", digest_of(folder / "what"), tmp_path / "bundle") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_archive_without_a_bundle(store, tmp_path, capsys):
    """It must have a manifest, and the bundle must be whole."""
    assert fetch(*packed(store, "none.tar", (entry("readme"), b"")), tmp_path / "bundle") == 2
    assert "no manifest.json" in capsys.readouterr().err
    bad = packed(store, "half.tar", (entry("manifest.json"), b'{"format": 1}'))
    assert fetch(*bad, tmp_path / "bundle") == 2
    assert not (tmp_path / "bundle").exists()


def test_what_is_not_there(store, tmp_path, capsys):
    """The status is told, or that nobody answered."""
    assert fetch(f"{store[1]}/gone.tar", "0" * 64, tmp_path / "bundle") == 2
    assert "answered 404" in capsys.readouterr().err
    assert fetch("https://localhost:1/x", "0" * 64, tmp_path / "bundle") == 2
    assert "refused" in capsys.readouterr().err


def test_a_certificate_that_is_not_trusted(archive, tmp_path, capsys):
    """Without its authority the archive is not fetched."""
    url, digest = archive
    assert main(["fetch-bundle", url, "--sha256", digest, "--to", str(tmp_path / "b")]) == 2
    assert "cannot be fetched" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/x", "data:,x", "x"])
def test_other_kinds_of_urls(url, tmp_path, capsys):
    """Only https is fetched."""
    assert fetch(url, "0" * 64, tmp_path / "b") == 2
    assert "is not https" in capsys.readouterr().err


def test_plain_http(tiny_bundle, tmp_path, capsys):
    """Plain http is for where it is asked for; the digest holds all the same."""
    shutil.make_archive(str(tmp_path / "tiny"), "gztar", tiny_bundle)
    file = tmp_path / "tiny.tar.gz"
    with web(functools.partial(Quiet, directory=str(tmp_path))) as url:
        address = f"{url}/tiny.tar.gz"
        assert fetch(address, digest_of(file), tmp_path / "bundle") == 2
        assert "http is not https" in capsys.readouterr().err
        assert fetch(address, "0" * 64, tmp_path / "bundle", "--plain-http") == 2
        assert fetch(address, digest_of(file), tmp_path / "bundle", "--plain-http") == 0


@pytest.mark.parametrize(
    ("scheme", "said"), [("http", "http is not https"), ("file", "the server answered 302")]
)
def test_redirects_do_not_lead_to_less(scheme, said, tmp_path, capsys):
    """A server cannot send us from https to http, or to a file."""
    handler = type("There", (Elsewhere,), {"target": f"{scheme}://localhost/x"})
    with web(handler, tls=True) as url:
        assert fetch(url, "0" * 64, tmp_path / "b") == 2
    assert said in capsys.readouterr().err


def test_redirects_are_followed(archive, tmp_path):
    """Within https they lead on."""
    url, digest = archive
    with web(type("There", (Elsewhere,), {"target": url}), tls=True) as first:
        assert fetch(first, digest, tmp_path / "b") == 0


def test_wrong_use(capsys, tmp_path, monkeypatch):
    """All mistakes are told."""
    monkeypatch.delenv("POLYHEAD_BUNDLE_URL", raising=False)
    arguments = ["--sha256", "abc", "--to", str(tmp_path / "b"), "--max-bytes", "0"]
    assert main(["fetch-bundle", *arguments]) == 2
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == [
        "URL",
        "--sha256",
        "--max-bytes",
    ]


@pytest.mark.parametrize(
    ("url", "place", "said"),
    [
        ("https://[x/b.tar", "b", "URL: it is none"),
        ("https://a/b.tar", ".", "--to: . is no name"),
        ("https://a/b.tar", "/", "--to: / is no name"),
    ],
)
def test_what_is_no_url_and_no_place(url, place, said, capsys):
    """It is told before anything is fetched."""
    assert main(["fetch-bundle", url, "--sha256", "0" * 64, "--to", place]) == 2
    assert said in capsys.readouterr().err
