"""A loaded bundle answers the same however its work is batched and windowed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HIDDEN, MAX_TOKENS

from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_server.model import Model
from polyhead_server.packing import ladder, pack

TASKS = ("sentiment", "entities", "pos", "topic")
TEXTS = ("The fans!", "in the word in the word", "x", "Rome, 1999: the the the fans in", "word")
LONG = " ".join(f"word {number} in the fans." for number in range(30))


@pytest.fixture(scope="module")
def model(tiny_bundle):
    model = Model.load(tiny_bundle, threads=1)
    yield model
    model.close()


def ask(model, sources, tasks=TASKS):
    """Annotate documents in one run of the encoder."""
    documents = [model.tokenize(source) for source in sources]
    jobs = [model.jobs(document, tasks) for document in documents]
    outputs = iter(model.run([job for own in jobs for job in own]).outputs)
    return [
        model.finish(document, [next(outputs) for _ in own], tasks)
        for document, own in zip(documents, jobs, strict=True)
    ]


def assert_close(ours, theirs):
    """The same labels, and scores equal up to rounding."""
    assert list(ours) == list(theirs)
    for task, output in ours.items():
        other = theirs[task]
        if isinstance(output, SpansOutput):
            key = [(s.first, s.end, s.label) for s in output.spans]
            assert key == [(s.first, s.end, s.label) for s in other.spans]
        else:
            np.testing.assert_allclose(output.scores, other.scores, atol=1e-4)


def test_documents_together_are_answered_as_alone(model):
    """Neighbours in the batch, and the tokens that fill it up, change nothing."""
    together = ask(model, TEXTS)
    for text, answer in zip(TEXTS, together, strict=True):
        assert_close(answer, ask(model, [text])[0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*TEXTS, LONG]), min_size=1, max_size=6), st.randoms())
def test_any_mix_of_documents_is_answered_as_alone(model, texts, rng):
    """Long and short, in any order."""
    rng.shuffle(texts)
    for text, answer in zip(texts, ask(model, texts), strict=True):
        assert_close(answer, ask(model, [text])[0])


def test_a_batch_is_encoded_as_its_windows_alone(model):
    """Vectors of a packed batch equal those of each window by itself, to 1e-4 in fp32."""
    windows = [model.tokenize(text).windows[0] for text in TEXTS]
    batch = pack(windows)
    together = model.engine.infer(batch).copy()
    assert together.shape == (len(batch.ids), HIDDEN)
    for start, window in zip(batch.starts, windows, strict=True):
        alone = model.engine.infer(pack([window]))[: len(window.ids)]
        np.testing.assert_allclose(together[start : start + len(window.ids)], alone, atol=1e-4)


def test_only_the_tasks_asked_for_are_run(model):
    """Each document of a batch names its own."""
    first, second = model.tokenize(TEXTS[0]), model.tokenize(TEXTS[1])
    jobs = [*model.jobs(first, ("pos",)), *model.jobs(second, ("topic", "sentiment"))]
    outputs = model.run(jobs).outputs
    assert set(outputs[0]) == {"pos"}
    assert set(outputs[1]) == {"topic", "sentiment"}


def test_a_run_counts_its_tokens(model):
    """What was encoded for somebody, and what only filled the batch up."""
    document = model.tokenize("the word in")
    (job,) = model.jobs(document, TASKS)
    run = model.run([job])
    assert (job.tokens, run.tokens, run.wasted_tokens) == (5, 5, 11)
    assert run.encode_seconds > 0
    assert run.heads_seconds > 0


def test_long_text_gets_one_tag_a_word(model):
    """Windows are merged: every word is tagged once, and spans lie in the text."""
    document = model.tokenize(LONG)
    assert len(document.windows) > 2
    (answer,) = ask(model, [LONG])
    assert isinstance(answer["pos"], TaggingOutput)
    assert len(answer["pos"].tags) == len(document.words)
    assert all(span.end <= len(document.words) for span in answer["entities"].spans)
    assert isinstance(answer["sentiment"], ClassificationOutput)
    np.testing.assert_allclose(answer["sentiment"].scores.sum(), 1, rtol=1e-5)


def test_words_deep_inside_a_window_are_tagged_as_by_that_window_alone(model):
    """The tags of the first window's own words are those of its text by itself."""
    words = tuple(["the", "word", "in", "fans"] * 20)
    own = len(model.tokenize(words).windows[0].first)
    (whole,) = ask(model, [words], ("pos",))
    (alone,) = ask(model, [words[: MAX_TOKENS - 2]], ("pos",))
    np.testing.assert_allclose(
        whole["pos"].scores[:own], alone["pos"].scores[:own], rtol=1e-4, atol=1e-5
    )


def test_windows_of_one_document_may_come_in_several_batches(model):
    """Where the windows are run does not matter, only their order when they are merged."""
    document = model.tokenize(LONG)
    jobs = model.jobs(document, TASKS)
    parts = [model.run([job]).outputs[0] for job in jobs]
    assert_close(model.finish(document, parts, TASKS), ask(model, [LONG])[0])


def test_a_document_of_one_window_equals_the_merged_path(model):
    """Heads see the same features whether they run with the batch or behind it."""
    document = model.tokenize(TEXTS[3])
    (job,) = model.jobs(document, ())
    features = model.run([job]).outputs
    assert_close(model.finish(document, features, TASKS), ask(model, [TEXTS[3]])[0])


def test_warming_runs_every_length(model):
    """Progress is told for each rung of the ladder."""
    told = []
    model.warm(64, lambda done, total: told.append((done, total)))
    count = len(ladder(64))
    assert told == [(number, count) for number in range(1, count + 1)]
