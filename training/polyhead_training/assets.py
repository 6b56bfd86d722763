"""What a bundle needs besides weights: tokenizer, lexicon, and the manifest that describes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

from polyhead_server.bundle import EncoderSpec, Manifest, TokenizerSpec
from polyhead_server.encoding import DocumentEncoder
from polyhead_server.words import WordSplitter, default_lexicon
from polyhead_training.families import family_of
from polyhead_training.network import head_spec
from polyhead_training.pretrained import only_local, position_offset

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_training.config import Config, EncoderConfig

ENCODER_FILE = "encoder.xml"
_MAX_WORD_PIECES = 64
_TEXT = -1
"""Stands for the text between the marks."""


@dataclass(frozen=True, slots=True)
class Assets:
    """Tokenizer and lexicon of a run, and how the bundle describes them."""

    tokenizer: Any
    """The transformers tokenizer."""
    tokenizer_json: str
    """Its fast form, which the bundle carries."""
    lexicon: dict[str, object]
    spec: TokenizerSpec

    def encoder(self) -> DocumentEncoder:
        """The document encoder that the served bundle will have."""
        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        return DocumentEncoder(tokenizer, self.spec, WordSplitter(self.lexicon))

    def write(self, bundle: Path) -> None:
        """Write both files into a bundle."""
        (bundle / self.spec.file).write_text(self.tokenizer_json, encoding="utf-8")
        lexicon = json.dumps(self.lexicon, ensure_ascii=False, indent=0)
        (bundle / self.spec.words).write_text(lexicon + "\n", encoding="utf-8")


def load_assets(config: Config, encoder: str) -> Assets:
    """Take the tokenizer of a pretrained encoder.

    Args:
        config: the training configuration.
        encoder: hub id or path.

    Raises:
        OSError: there is no tokenizer under that name.
        ValueError: the tokenizer has no fast form, which serving needs.
    """
    return encoder_assets(config.encoder, encoder)


def encoder_assets(options: EncoderConfig, encoder: str) -> Assets:
    """Take the tokenizer of a pretrained encoder, for windows of the configured length.

    Args:
        options: the encoder's part of a configuration.
        encoder: hub id or path.

    Raises:
        OSError: there is no tokenizer under that name.
        ValueError: the tokenizer has no fast form, which serving needs.
    """
    local = only_local(encoder)
    tokenizer = AutoTokenizer.from_pretrained(encoder, use_fast=True, local_files_only=local)
    if not tokenizer.is_fast:
        raise ValueError(f"{encoder}: its tokenizer has no fast form, which serving needs")
    settings = AutoConfig.from_pretrained(encoder, local_files_only=local)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    spec = _tokenizer_spec(options, tokenizer, settings)
    return Assets(tokenizer, backend.to_str(), default_lexicon(), spec)


def _tokenizer_spec(options: EncoderConfig, tokenizer: Any, settings: Any) -> TokenizerSpec:
    prefix, suffix = window_marks(tokenizer)
    room = options.max_tokens - len(prefix) - len(suffix)
    return TokenizerSpec(
        file="tokenizer.json",
        words="words.json",
        prefix=prefix,
        suffix=suffix,
        unknown=_unknown(tokenizer),
        max_tokens=options.max_tokens,
        overlap=min(options.overlap, room - 1),
        max_word_pieces=min(_MAX_WORD_PIECES, room - 1),
        position_offset=position_offset(settings),
        shapes=options.shape_embedding,
        spaced=is_byte_level(tokenizer.backend_tokenizer),
        word_piece=family_of(settings).word_piece,
    )


def window_marks(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids of the marks that a tokenizer puts before and behind a text; GPT-2's puts none."""
    text = tokenizer.build_inputs_with_special_tokens([_TEXT])
    if text == [_TEXT]:  # a tokenizer of no class of its own has them in its fast form only
        whole = tokenizer.backend_tokenizer.encode("a")
        ids = zip(whole.ids, whole.special_tokens_mask, strict=True)
        text = [known if mark else _TEXT for known, mark in ids] or [_TEXT]
    first = text.index(_TEXT)
    return tuple(text[:first]), tuple(known for known in text[first:] if known != _TEXT)


def is_byte_level(backend: Tokenizer) -> bool:
    """Whether a vocabulary is made of bytes, the space before a word among them."""
    pieces = [json.loads(backend.to_str())["pre_tokenizer"] or {}]
    for piece in pieces:  # grows
        pieces += piece.get("pretokenizers", [])
    return any(piece.get("type") == "ByteLevel" for piece in pieces)


def _unknown(tokenizer: Any) -> int:
    """Id for a word that cannot be read; a byte-level vocabulary may know no such thing."""
    names = ("unk_token_id", "eos_token_id", "bos_token_id", "pad_token_id")
    known = [value for name in names if (value := getattr(tokenizer, name)) is not None]
    return known[0] if known else 0


def manifest(
    config: Config, assets: Assets, encoder: str, hidden_size: int, *, served: bool = True
) -> Manifest:
    """The manifest of the bundle to be, without figures and provenance.

    Args:
        config: the training configuration.
        assets: tokenizer and lexicon.
        encoder: name of the pretrained encoder.
        hidden_size: width of the encoder's output.
        served: leave out the auxiliary heads.
    """
    return Manifest(
        name=config.name,
        version=config.version,
        language=config.language,
        encoder=EncoderSpec(
            file=ENCODER_FILE,
            precision=config.export.precision,
            hidden_size=hidden_size,
            model=encoder,
        ),
        tokenizer=assets.spec,
        heads=tuple(head_spec(head) for head in config.heads if head.export or not served),
    )
