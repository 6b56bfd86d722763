"""Byte-level vocabularies: words are cut as they are behind a space, whatever they are made of."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tiny_bundle import tiny_tokenizer, write_tiny_bundle
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from polyhead_server.bundle import MANIFEST, TokenizerSpec, open_bundle
from polyhead_server.encoding import DocumentEncoder
from polyhead_server.subwords import WordTokenizer
from polyhead_server.words import WordSplitter, default_lexicon

TEXTS = [
    "The house in the street was old and the house by the river was new.",
    "Houses and streets, rivers and houses: who would have thought it?",
] * 20
SPLITTER = WordSplitter(default_lexicon())


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A small vocabulary as GPT-2 and RoBERTa have it."""
    fresh = Tokenizer(models.BPE())
    fresh.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fresh.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet, show_progress=False)
    fresh.train_from_iterator(TEXTS, trainer)
    return fresh


@pytest.fixture(scope="module")
def encoder(tokenizer):
    """An encoder without marks, each word standing at its last sub-word."""
    return DocumentEncoder(tokenizer, spec(), SPLITTER)


def spec(**changes) -> TokenizerSpec:
    """As of a bundle that was made from GPT-2."""
    plain = TokenizerSpec(
        file="tokenizer.json",
        words="words.json",
        prefix=(),
        suffix=(),
        unknown=0,
        max_tokens=32,
        overlap=8,
        max_word_pieces=24,
        spaced=True,
        word_piece="last",
    )
    return replace(plain, **changes)


def test_a_word_behind_a_space_is_cut_as_in_running_text(tokenizer, encoder):
    """The pieces of words between spaces are those that the tokenizer gives to the text itself."""
    text = " the house by the river was new"
    (window,) = encoder.encode(text).windows
    assert window.ids.tolist() == tokenizer.encode(text).ids
    assert tokenizer.id_to_token(int(window.ids[0])) == "Ġthe"


def test_raw_text_and_split_words_are_read_alike(encoder):
    """A tagger learns from words without their spacing: text must not look otherwise to it."""
    raw = encoder.encode("The old house, by the river.")
    split = encoder.encode(("The", "old", "house", ",", "by", "the", "river", "."))
    assert len(raw.words) == len(split.words)
    np.testing.assert_array_equal(raw.windows[0].ids, split.windows[0].ids)


@pytest.mark.parametrize(
    "text",
    [
        "Zoë était là.",
        "😀 fine 👨‍👩‍👧 👍🏽!",
        "naïve\tcafé\nhouse",
        "日本 house",
        "e\u0301 a\u0308",
    ],
)
def test_any_script_has_its_own_pieces_and_offsets(tokenizer, text):
    """Bytes make every word: none is unknown, and pieces and places of each are its own."""
    document = DocumentEncoder(tokenizer, spec(max_tokens=128), SPLITTER).encode(text)
    words = [document.text[start:end] for start, end in document.words]
    assert "".join(words) == "".join(text.split())
    (window,) = document.windows
    bounds = [0, *(window.first + 1).tolist()]
    pieces = [tokenizer.decode(window.ids[start:end].tolist()) for start, end in pairwise(bounds)]
    assert pieces == [f" {word}" for word in words]


def test_a_word_stands_at_its_last_piece_and_windows_own_all_their_pieces(tokenizer, encoder):
    """Also where a text is cut into windows; pooling begins at the first piece of the first."""
    document = encoder.encode(("zzz", "the") * 20)
    size = len(tokenizer.encode(" zzz").ids)
    assert size > 1
    assert len(document.windows) > 1
    first = document.windows[0]
    assert first.first[:2].tolist() == [size - 1, size]
    assert first.pool[0] == 0
    owned = sum(window.pool[1] - window.pool[0] for window in document.windows)
    assert owned == document.tokens == 20 * (size + 1)
    assert sum(len(window.first) for window in document.windows) == 40
    assert all(window.first[-1] == window.pool[1] - 1 for window in document.windows)


def test_a_word_of_too_many_pieces_is_one(tokenizer):
    """Even where the vocabulary has no unknown word."""
    cut = WordTokenizer(tokenizer, unknown=0, most_pieces=24, shapes=False, spaced=True)
    (long, _), (short, _) = cut(["q" * 500, "the"])
    assert long == (0,)
    assert short == tuple(tokenizer.encode(" the").ids)


def test_words_of_a_word_piece_vocabulary_are_cut_as_ever():
    """Without spacing nothing is put before a word, and a word stands at its first piece."""
    plain = spec(prefix=(2,), suffix=(3,), spaced=False, word_piece="first")
    (window,) = DocumentEncoder(tiny_tokenizer(), plain, SPLITTER).encode(("the", "fan")).windows
    vocabulary = tiny_tokenizer().get_vocab()
    assert window.ids.tolist() == [2, *(vocabulary[p] for p in ("the", "f", "##a", "##n")), 3]
    assert window.first.tolist() == [1, 2]


def test_a_manifest_without_the_keys_means_the_old_way(tiny_manifest):
    """Bundles from before byte-level vocabularies say nothing of them."""
    found = open_bundle(tiny_manifest(lambda keys: [keys.pop(n) for n in ("spaced", "word_piece")]))
    assert found.manifest.tokenizer.spaced is False
    assert found.manifest.tokenizer.word_piece == "first"


def test_a_manifest_tells_how_words_are_cut(tiny_manifest):
    """What was written is read."""
    found = open_bundle(tiny_manifest(lambda keys: keys.update(spaced=True, word_piece="last")))
    assert found.manifest.tokenizer.spaced is True
    assert found.manifest.tokenizer.word_piece == "last"


@pytest.fixture
def tiny_manifest(tmp_path):
    """Writes a bundle whose manifest's tokenizer keys were changed."""

    def write(change):
        bundle = write_tiny_bundle(tmp_path / "bundle")
        content = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
        change(content["tokenizer"])
        (bundle / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
        return bundle

    return write
