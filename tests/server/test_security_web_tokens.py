"""JSON Web Tokens: whose signature counts, what a token must say, and keys that are replaced."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time

import grpc
import jwt
import pytest
from authority import Authority, public_pem
from background_server import PATIENCE, running
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from test_security_tokens import bearer

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead_server.errors import PermissionDeniedError, SettingsError, StartError
from polyhead_server.security.web_tokens import Terms, WebTokens, read_keys
from polyhead_server.settings import Settings

ISSUER, AUDIENCE = "https://issuer.example", "polyhead"
ALGORITHMS = ("RS256", "ES256", "EdDSA")


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def claims(**changed):
    given = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 300} | changed
    return {name: value for name, value in given.items() if value is not None}


def jwks(**keys):
    """A key set of private keys' public halves, by name."""
    items = []
    for name, key in keys.items():
        kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else None
        kind = kind or jwt.algorithms.ECAlgorithm
        items.append(kind.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "use": "sig"})
    return json.dumps({"keys": items})


@pytest.fixture
def file(tmp_path, rsa_key, ec_key):
    (tmp_path / "keys").write_text(jwks(r=rsa_key, e=ec_key))
    return tmp_path / "keys"


@pytest.fixture
def tokens(file):
    return WebTokens(file, Terms(ALGORITHMS, ISSUER, AUDIENCE, leeway=5.0))


@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed25519"])
def test_private_keys_are_refused(tmp_path, rsa_key, ec_key, kind):
    """They would sign and not verify; and a server is no place for them."""
    made = {
        "RSA": lambda: jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key, as_dict=True),
        "EC": lambda: jwt.algorithms.ECAlgorithm.to_jwk(ec_key, as_dict=True),
        "Ed25519": lambda: jwt.algorithms.OKPAlgorithm.to_jwk(
            ed25519.Ed25519PrivateKey.generate(), as_dict=True
        ),
    }[kind]()
    (tmp_path / "keys").write_text(json.dumps({"keys": [made]}))
    with pytest.raises(StartError, match="holds a private key: wanted public keys only"):
        read_keys(tmp_path / "keys")


def test_sound_tokens(tokens, rsa_key, ec_key):
    """Any key of the set may sign, named or not; the subject is the client."""
    assert tokens.client_of(jwt.encode(claims(), rsa_key, "RS256", {"kid": "r"})) == "jwt:alice"
    assert tokens.client_of(jwt.encode(claims(sub="b"), ec_key, "ES256")) == "jwt:b"
    late = jwt.encode(claims(exp=time.time() - 2), ec_key, "ES256")
    assert tokens.client_of(late) == "jwt:alice"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"sub": None},
        {"sub": 7},
        {"nbf": 4e9},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
    ],
)
def test_wrong_claims(tokens, ec_key, changed):
    """Each claim is required and must be right."""
    header = {"alg": "ES256", "typ": "JWT"}
    assert tokens.client_of(signed(header, claims(**changed), ec_key)) is None


def part(value) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header, payload, key) -> str:
    """A token with any claims, which PyJWT itself would not make."""
    text = f"{part(header)}.{part(payload)}"
    algorithm = jwt.get_algorithm_by_name("ES256")
    return f"{text}.{part(algorithm.sign(text.encode(), key))}"


def forged(rsa_key, ec_key):
    other = ec.generate_private_key(ec.SECP256R1())
    sound = jwt.encode(claims(), ec_key, "ES256")
    head, payload, mark = sound.split(".")
    secret = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    digest = hmac.new(public_pem(rsa_key), secret.encode(), hashlib.sha256).digest()
    return {
        "no signature": f"{part({'alg': 'none'})}.{payload}.",
        "public key as secret": f"{secret}.{part(digest)}",
        "somebody else's key": jwt.encode(claims(), other, "ES256", {"kid": "e"}),
        "name of another key": jwt.encode(claims(), ec_key, "ES256", {"kid": "r"}),
        "algorithm not allowed": jwt.encode(claims(), rsa_key, "PS256"),
        "other claims": f"{head}.{part(claims(sub='root'))}.{mark}",
        "a key of its own": jwt.encode(
            claims(), other, "ES256", {"jwk": json.loads(jwks(e=other))["keys"][0]}
        ),
        "deep": f"{part(b'[' * 6000)}.{payload}.{mark}",
        "deep claims": f"{head}.{part(b'[' * 6000)}.{mark}",
        "no object": f"{part([])}.{payload}.{mark}",
        "critical": jwt.encode(claims(), ec_key, "ES256", {"crit": ["x"], "x": 1}),
        "dots": "....",
        "nothing": "",
    }


FORGERIES = (
    *("no signature", "public key as secret", "somebody else's key", "name of another key"),
    *("algorithm not allowed", "other claims", "a key of its own", "deep", "deep claims"),
    *("no object", "critical", "dots", "nothing"),
)


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_tokens(tokens, rsa_key, ec_key, name):
    """No trick with header or signature lets anybody in."""
    assert tokens.client_of(forged(rsa_key, ec_key)[name]) is None


def test_known_tokens_expire(file, ec_key):
    """A token that was checked before is no longer let in once it is over."""
    tokens = WebTokens(file, Terms(ALGORITHMS))
    end = time.time() + 1.0
    token = jwt.encode({"sub": "a", "exp": end}, ec_key, "ES256")
    assert tokens.client_of(token) == "jwt:a"
    while tokens.client_of(token) is not None:
        assert time.time() < end + 1
    assert time.time() >= int(end)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"scope": "read annotate"}, True),
        ({"scp": ["annotate"]}, True),
        ({"scope": "annotates"}, False),
        ({"scope": 7}, False),
        ({}, False),
    ],
)
def test_scopes(file, ec_key, given, allowed):
    """A sound token without the scope is told apart from one that is not known."""
    tokens = WebTokens(file, Terms(ALGORITHMS, scope="annotate"))
    token = jwt.encode(claims(**given), ec_key, "ES256")
    if allowed:
        assert tokens.client_of(token) == "jwt:alice"
        return
    with pytest.raises(PermissionDeniedError, match="lacks the scope annotate"):
        tokens.client_of(token)


def test_pem_files(tmp_path, rsa_key):
    """A public key or a certificate as PEM does as well."""
    file = tmp_path / "key.pem"
    edwards = ed25519.Ed25519PrivateKey.generate()
    for key, algorithm in ((rsa_key, "RS256"), (edwards, "EdDSA")):
        file.write_bytes(public_pem(key))
        tokens = WebTokens(file, Terms(ALGORITHMS))
        assert tokens.client_of(jwt.encode(claims(), key, algorithm)) == "jwt:alice"
    file.write_bytes(Authority().pem)
    assert [key.kind for key in read_keys(file)] == ["EC"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}',
        '{"keys": [{"kty": "RSA"}]}',
        '{"keys": 3}',
        '{"keys": [3]}',
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
    ],
)
def test_wrong_key_files(tmp_path, content):
    """A file without public keys, or with a shared secret, is refused at the start."""
    (tmp_path / "keys").write_text(content)
    with pytest.raises(StartError, match="keys"):
        WebTokens(tmp_path / "keys", Terms(ALGORITHMS))


def test_settings(file):
    """Algorithms with a shared secret or none are no settings; terms need keys."""
    for name in ("none", "HS256", "es256"):
        with pytest.raises(SettingsError, match=f"jwt_algorithms: {name} is not one of"):
            Settings(jwt_keys=file, jwt_algorithms=(name,))
    with pytest.raises(SettingsError, match="jwt_scope: needs jwt_keys"):
        Settings(jwt_scope="annotate")
    with pytest.raises(SettingsError, match="at least one"):
        Settings(jwt_keys=file, jwt_algorithms=())


async def test_served(tiny_bundle, tmp_path, file, ec_key):
    """Beside tokens of a file; wrong ones, wrong scopes and keys that went have their statuses."""
    (tmp_path / "tokens").write_text("bob bobs-token\n")
    settings = {"jwt_keys": file, "jwt_scope": "annotate", "token_file": tmp_path / "tokens"}
    good = jwt.encode(claims(scope="annotate"), ec_key, "ES256")
    narrow = jwt.encode(claims(scope="read"), ec_key, "ES256")
    async with running(tiny_bundle, **settings) as (_, stub):
        assert await status(stub, good) is grpc.StatusCode.OK
        assert await status(stub, "bobs-token") is grpc.StatusCode.OK
        assert await status(stub, narrow) is grpc.StatusCode.PERMISSION_DENIED
        assert await status(stub, good[:-4]) is grpc.StatusCode.UNAUTHENTICATED
        file.write_text(jwks(n=ec.generate_private_key(ec.SECP256R1())))
        async with asyncio.timeout(PATIENCE):
            while await status(stub, good) is grpc.StatusCode.OK:
                pass
        assert await status(stub, good) is grpc.StatusCode.UNAUTHENTICATED


async def status(stub, token) -> grpc.StatusCode:
    call = stub.ListTasks(pb.ListTasksRequest(), timeout=PATIENCE, metadata=bearer(token))
    return await call.code()
