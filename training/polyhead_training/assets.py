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
from polyhead_training.network import head_spec
from polyhead_training.pretrained import only_local, position_offset

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_training.config import Config

ENCODER_FILE = "encoder.xml"
_MAX_WORD_PIECES = 64


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
    local = only_local(encoder)
    tokenizer = AutoTokenizer.from_pretrained(encoder, use_fast=True, local_files_only=local)
    if not tokenizer.is_fast:
        raise ValueError(f"{encoder}: its tokenizer has no fast form, which serving needs")
    settings = AutoConfig.from_pretrained(encoder, local_files_only=local)
    spec = _tokenizer_spec(config, tokenizer, position_offset(settings))
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return Assets(tokenizer, backend.to_str(), default_lexicon(), spec)


def _tokenizer_spec(config: Config, tokenizer: Any, offset: int) -> TokenizerSpec:
    marks = tokenizer.build_inputs_with_special_tokens([])
    half = len(marks) - len(marks) // 2
    room = config.encoder.max_tokens - len(marks)
    return TokenizerSpec(
        file="tokenizer.json",
        words="words.json",
        prefix=tuple(marks[:half]),
        suffix=tuple(marks[half:]),
        unknown=tokenizer.unk_token_id,
        max_tokens=config.encoder.max_tokens,
        overlap=min(config.encoder.overlap, room - 1),
        max_word_pieces=min(_MAX_WORD_PIECES, room - 1),
        position_offset=offset,
        shapes=config.encoder.shape_embedding,
    )


def manifest(config: Config, assets: Assets, hidden_size: int, *, served: bool = True) -> Manifest:
    """The manifest of the bundle to be, without figures and provenance.

    Args:
        config: the training configuration.
        assets: tokenizer and lexicon.
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
            model=config.encoder.model,
        ),
        tokenizer=assets.spec,
        heads=tuple(head_spec(head) for head in config.heads if head.export or not served),
    )
