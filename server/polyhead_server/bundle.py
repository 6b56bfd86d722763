"""The bundle: a directory that carries a trained model from training to serving.

Everything is data (JSON, safetensors, OpenVINO IR); nothing in it is executed or unpickled. Every
file but the manifest is listed with its sha256, and checked before use.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from polyhead_server.errors import BundleError
from polyhead_server.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

FORMAT = 1
"""Version of the bundle format that this server reads."""

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
"""Ed25519 signature of the manifest, 64 bytes, where the bundle is signed."""

UNFINISHED = ".part"
"""Ends the name of a file that is still being written: no part of the bundle."""

LONGEST_WINDOW = 4096
"""Tokens that a window may have."""

Kind = Literal["classification", "tagging", "spans"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Pooling = Literal["mean", "first", "max", "last"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
WordPiece = Literal["first", "last"]
WORD_PIECES: tuple[WordPiece, ...] = get_args(WordPiece)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure of a head, taken with the engine that serves it."""

    data_set: str
    split: str
    metric: str
    value: float
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """The encoder's graph."""

    file: str
    """OpenVINO IR (.xml); its weights are the .bin beside it."""
    precision: str
    hidden_size: int
    model: str
    """Name of the pretrained encoder that it was made from."""
    check: str | None = None
    """Vectors of fixed inputs, safetensors, by which a server finds out if it computes aright."""
    torch: str | None = None
    """Weights for torch, safetensors; their configuration is the .json beside them."""


@dataclass(frozen=True, slots=True)
class TokenizerSpec:
    """How text becomes encoder input."""

    file: str
    """Hugging Face tokenizers JSON."""
    words: str
    """Word splitter's lexicon, JSON."""
    prefix: tuple[int, ...]
    """Ids of the marks before each window."""
    suffix: tuple[int, ...]
    """Ids of the marks behind each window."""
    unknown: int
    """Id for a word that has no sub-word."""
    max_tokens: int
    """Tokens in a window, marks included."""
    overlap: int
    """Sub-words shared by neighbouring windows of a long text."""
    max_word_pieces: int = 64
    """A word of more sub-words is read as the unknown one."""
    position_offset: int = 0
    """Position id of a window's first token."""
    shapes: bool = True
    """Whether the encoder is given letter-case shapes."""
    spaced: bool = False
    """Whether each word is cut as it is behind a space: byte-level vocabularies tell it apart."""
    word_piece: WordPiece = "first"
    """The sub-word whose vector stands for a word: a causal encoder knows the whole at its last."""


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One task head."""

    name: str
    """1 to 64 of a-z, 0-9, _ and -, as the API promises."""
    kind: Kind
    labels: tuple[str, ...]
    """For spans: the span labels; the head's outputs are O, B-x, I-x for each label x in turn."""
    file: str
    """Matrices, safetensors."""
    pooling: Pooling = "mean"
    """How a classification head sums up the document."""
    figures: tuple[Figure, ...] = ()

    @property
    def outputs(self) -> int:
        """Number of outputs of the head's last matrix."""
        return 2 * len(self.labels) + 1 if self.kind == "spans" else len(self.labels)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a bundle and where it came from."""

    name: str
    version: str
    language: str
    encoder: EncoderSpec
    tokenizer: TokenizerSpec
    heads: tuple[HeadSpec, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Training configuration, seed, data sets with licences; not read by the server."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk whose manifest was read and whose files were verified."""

    path: Path
    manifest: Manifest
    identity: str = ""
    """Differs wherever the manifest or a file differs: a digest over all of them."""

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.manifest.version

    @property
    def heads(self) -> tuple[HeadSpec, ...]:
        """The heads in the manifest's order."""
        return self.manifest.heads


def open_bundle(path: Path) -> Bundle:
    """Read the manifest of a bundle and verify every file against its digest.

    Raises:
        BundleError: not a bundle, of another format, incomplete or damaged.
    """
    bundle, digests = _read(path)
    try:
        _verify(path, digests, bundle.manifest)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    return bundle


def identify_bundle(path: Path) -> Bundle:
    """Read the manifest of a bundle, and leave its files unread.

    Raises:
        BundleError: not a bundle or of another format.
    """
    return _read(path)[0]


def seal_bundle(path: Path, manifest: Manifest, *, loose: Collection[str] = ()) -> None:
    """Write the manifest of a bundle whose other files are in place, with their digests.

    It takes the place of an older manifest in one rename.

    Args:
        path: the bundle.
        manifest: what to write.
        loose: files, by their path in the bundle, that get no digest: they may yet change or go.
    """
    files = {item.relative_to(path).as_posix(): item for item in path.rglob("*") if item.is_file()}
    unlisted = {MANIFEST, SIGNATURE, *loose}
    content = {
        "format": FORMAT,
        **asdict(manifest),
        "digests": {
            name: _sha256(files[name])
            for name in sorted(files.keys() - unlisted)
            if not name.endswith(UNFINISHED)
        },
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    put_file(path / MANIFEST, f"{text}\n".encode())


def put_file(file: Path, content: bytes) -> None:
    """Write a file of a bundle; it takes the place of an older one in one rename.

    Raises:
        OSError: it cannot be written; the older one is as it was.
    """
    fresh = file.with_name(file.name + UNFINISHED)
    with fresh.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def _read(path: Path) -> tuple[Bundle, Mapping[str, Any]]:
    """A bundle by its manifest alone, and the digests of its files."""
    content = _read_manifest(path)
    root = Fields(content, MANIFEST)
    try:
        _check_format(root)
        manifest = _manifest(root)
        digests = root.mapping("digests")
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    return Bundle(path, manifest, identity_of(content)), digests


def identity_of(manifest: Mapping[str, Any]) -> str:
    """The identity of the bundle that has this manifest, parsed."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path}: not a bundle: it has no {MANIFEST}") from None
    except OSError as error:
        raise BundleError(f"{path}: {MANIFEST} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise BundleError(f"{path}: {MANIFEST} is not JSON") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: {MANIFEST} is not a JSON object")
    return content


def _check_format(root: Fields) -> None:
    if (found := root.integer("format")) != FORMAT:
        raise BundleError(f"bundle format {found} is not {FORMAT}, the one read here")


def _manifest(root: Fields) -> Manifest:
    heads = tuple(_head(item) for item in root.items("heads"))
    names = [head.name for head in heads]
    if not heads or len(set(names)) != len(names):
        raise BundleError("heads: at least one, each with a name of its own")
    return Manifest(
        name=root.text("name"),
        version=root.text("version"),
        language=root.text("language"),
        encoder=_encoder(root.child("encoder")),
        tokenizer=_tokenizer(root.child("tokenizer")),
        heads=heads,
        provenance=root.mapping("provenance"),
    )


def _encoder(fields: Fields) -> EncoderSpec:
    return EncoderSpec(
        file=fields.file("file"),
        precision=fields.text("precision"),
        hidden_size=fields.integer("hidden_size", least=1),
        model=fields.text("model"),
        check=fields.optional_file("check"),
        torch=fields.optional_file("torch"),
    )


def _tokenizer(fields: Fields) -> TokenizerSpec:
    spec = TokenizerSpec(
        file=fields.file("file"),
        words=fields.file("words"),
        prefix=fields.integers("prefix"),
        suffix=fields.integers("suffix"),
        unknown=fields.integer("unknown"),
        max_tokens=fields.integer("max_tokens", least=8),
        overlap=fields.integer("overlap"),
        max_word_pieces=fields.integer("max_word_pieces", least=1),
        position_offset=fields.integer("position_offset"),
        shapes=fields.flag("shapes"),
        spaced=fields.optional_flag("spaced", default=False),
        word_piece=fields.optional_choice("word_piece", WORD_PIECES, "first"),
    )
    room = spec.max_tokens - len(spec.prefix) - len(spec.suffix)
    if spec.max_tokens > LONGEST_WINDOW:
        raise BundleError(f"tokenizer: max_tokens is more than {LONGEST_WINDOW}")
    if max(spec.overlap, spec.max_word_pieces) >= room:
        raise BundleError("tokenizer: overlap and max_word_pieces must be less than the window")
    return spec


def _head(fields: Fields) -> HeadSpec:
    return HeadSpec(
        name=fields.name("name"),
        kind=fields.choice("kind", KINDS),
        labels=fields.texts("labels"),
        file=fields.file("file"),
        pooling=fields.choice("pooling", POOLINGS),
        figures=tuple(_figure(item) for item in fields.items("figures")),
    )


def _figure(fields: Fields) -> Figure:
    return Figure(
        data_set=fields.text("data_set"),
        split=fields.text("split"),
        metric=fields.text("metric"),
        value=fields.number("value"),
    )


def _verify(path: Path, digests: Mapping[str, Any], manifest: Manifest) -> None:
    needed = _files(manifest)
    if unlisted := sorted(set(needed) - set(digests)):
        raise BundleError(f"no digest for {', '.join(unlisted)}")
    for name, digest in digests.items():
        file = path / Fields({name: name}, "digests").file(name)
        if _read_sha256(file, name) != digest:
            raise BundleError(f"{name} is damaged: its sha256 is not the manifest's")


def _read_sha256(file: Path, name: str) -> str:
    try:
        if not file.is_file():
            raise BundleError(f"missing file {name}")
        return _sha256(file)
    except OSError as error:  # of the look, too: where a folder is closed or a name too long
        raise BundleError(f"{name} cannot be read: {error.strerror}") from None


def _files(manifest: Manifest) -> list[str]:
    encoder = manifest.encoder.file
    tokenizer = manifest.tokenizer
    weights = encoder.removesuffix(".xml") + ".bin"
    return [
        *(encoder, weights, tokenizer.file, tokenizer.words),
        *(head.file for head in manifest.heads),
        *_optional_files(manifest.encoder),
    ]


def _optional_files(encoder: EncoderSpec) -> list[str]:
    torch = (encoder.torch, torch_config(encoder.torch)) if encoder.torch else ()
    return [*torch, *([encoder.check] if encoder.check else [])]


def torch_config(weights: str) -> str:
    """The configuration that belongs to weights for torch."""
    return weights.removesuffix(".safetensors") + ".json"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
