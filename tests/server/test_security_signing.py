"""Signed bundles: who signed what, and that a server with a key takes no other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from authority import private_pem, public_pem
from background_server import quiet_settings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from polyhead_server.bundle import MANIFEST, SIGNATURE, open_bundle, seal_bundle
from polyhead_server.cli import main
from polyhead_server.errors import BundleError, StartError
from polyhead_server.lifecycle import start_server
from polyhead_server.security.signing import ensure_signed, sign_bundle


@pytest.fixture
def keys(tmp_path):
    """A private and a public key, and somebody else's public key."""
    own, other = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    (tmp_path / "own").write_bytes(private_pem(own))
    (tmp_path / "own.pub").write_bytes(public_pem(own))
    (tmp_path / "other.pub").write_bytes(public_pem(other))
    return tmp_path


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def command(capsys, *arguments):
    """Exit status and what was printed, standard error first."""
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.err + printed.out


def test_commands(bundle, keys, capsys):
    """What one command signs the other verifies, by the right key only."""
    assert command(capsys, "sign-bundle", bundle, "--key", keys / "own") == (
        0,
        f"the signature is {bundle / SIGNATURE}\n",
    )
    status, printed = command(capsys, "verify-bundle", bundle, "--key", keys / "own.pub")
    assert (status, printed) == (0, "tiny 1: every file has its digest, signed by that key\n")
    status, printed = command(capsys, "verify-bundle", bundle, "--key", keys / "other.pub")
    assert status == 2
    assert printed.count("\n") == 1
    assert "wrongly signed: manifest.json.sig is not by the key in" in printed


def test_openssl_verifies(bundle, keys):
    """The signature is the plain one of the manifest's bytes, which other tools verify too."""
    sign_bundle(bundle, keys / "own")
    asked = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", keys / "own.pub", "-rawin"]
    files = ["-in", bundle / MANIFEST, "-sigfile", bundle / SIGNATURE]
    assert subprocess.run([*asked, *files], check=True, capture_output=True).returncode == 0


def change_manifest(bundle):
    content = json.loads((bundle / MANIFEST).read_text())
    content["version"] = "2"
    (bundle / MANIFEST).write_text(json.dumps(content))


def change_head(bundle):
    (bundle / "heads" / "pos.safetensors").write_bytes(b"other")


def seal_again(bundle):
    seal_bundle(bundle, open_bundle(bundle).manifest)
    change_manifest(bundle)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda bundle: (bundle / SIGNATURE).unlink(), "not signed: it has no manifest.json.sig"),
        (lambda bundle: (bundle / SIGNATURE).write_bytes(b""), "wrongly signed"),
        (lambda bundle: (bundle / SIGNATURE).write_bytes(bytes(64)), "wrongly signed"),
        (change_manifest, "wrongly signed"),
        (seal_again, "wrongly signed"),
        (change_head, "pos.safetensors is damaged"),
    ],
)
async def test_a_server_takes_no_other(bundle, keys, change, problem):
    """Without a signature, with another, and with any file changed it does not start."""
    sign_bundle(bundle, keys / "own")
    settings = quiet_settings(bundle, bundle_key=keys / "own.pub")
    server = await start_server(settings)
    await server.stop()
    change(bundle)
    with pytest.raises(BundleError, match=problem):
        await start_server(settings)


def test_refused_in_one_line(bundle, keys):
    """The command line says why, in one line, and ends with 2."""
    arguments = ["serve", "--bundle", str(bundle), "--bundle-key", str(keys / "own.pub")]
    ports = ["--port", "0", "--metrics-port", "-1", "--log-level", "error"]
    command = [sys.executable, "-m", "polyhead_server", *arguments, *ports]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"polyhead-server: {bundle}: not signed: it has no {SIGNATURE}\n"


def test_sealing_again_keeps_no_digest_of_a_signature(bundle, keys):
    """A signed bundle that is sealed anew can be signed anew."""
    sign_bundle(bundle, keys / "own")
    seal_bundle(bundle, open_bundle(bundle).manifest)
    sign_bundle(bundle, keys / "own")
    ensure_signed(open_bundle(bundle), keys / "own.pub")


def test_a_manifest_that_changes_meanwhile(bundle, keys):
    """The manifest that was read must be the one that was signed."""
    read = open_bundle(bundle)
    change_manifest(bundle)
    sign_bundle(bundle, keys / "own")
    with pytest.raises(BundleError, match="it was changed while it was read"):
        ensure_signed(read, keys / "own.pub")


def test_wrong_keys(bundle, keys):
    """Keys of another kind, with a password, or the wrong half are told."""
    elliptic = ec.generate_private_key(ec.SECP256R1())
    (keys / "elliptic").write_bytes(private_pem(elliptic))
    (keys / "elliptic.pub").write_bytes(public_pem(elliptic))
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    (keys / "locked").write_bytes(locked)
    (keys / "nothing").write_text("")
    for name in ("elliptic", "locked", "own.pub", "nothing"):
        with pytest.raises(StartError, match="wanted an Ed25519 private key"):
            sign_bundle(bundle, keys / name)
    sign_bundle(bundle, keys / "own")
    for name in ("elliptic.pub", "own", "nothing"):
        with pytest.raises(StartError, match="wanted an Ed25519 public key"):
            ensure_signed(open_bundle(bundle), keys / name)


def test_a_damaged_bundle_is_not_signed(bundle, keys):
    """A signature vouches for the files, so they are verified first."""
    change_head(bundle)
    with pytest.raises(BundleError, match="damaged"):
        sign_bundle(bundle, keys / "own")
    assert not (bundle / SIGNATURE).exists()
