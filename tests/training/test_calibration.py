"""Scores become as high as answers are right, and answers stay what they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from polyhead_server.bundle import HeadSpec, open_bundle
from polyhead_server.features import Features
from polyhead_server.heads import Head
from polyhead_server.model import Model
from polyhead_training.calibration import (
    COLDEST,
    calibrate,
    calibration_error,
    fit_temperature,
    heated,
    same_but_for_temperature,
)
from polyhead_training.config import SourceConfig, load_config
from polyhead_training.data import load_all
from polyhead_training.export import export_bundle
from polyhead_training.reliability import reliability_of
from polyhead_training.scored import Scored, row_logits, score_part, scored, target_rows
from polyhead_training.workshop import reopen_workshop

MOOD = HeadSpec("mood", "classification", ("bad", "plain", "good"), "heads/mood.safetensors")
NAMES = HeadSpec("names", "spans", ("PER", "LOC"), "heads/names.safetensors")


def part(heat: float, *, rows: int = 4000, kind="classification", seed=0, **more) -> Scored:
    """Answers whose gold labels are drawn by the softmax of logits over a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 3)).astype(np.float32) * 4
    odds = np.exp(logits / heat)
    chances = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    gold = (rng.random((rows, 1)) > chances).sum(axis=1)
    return Scored("s", "dev", kind, logits, gold, tuple(range(1, rows + 1)), **more)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_data_is_found(heat):
    """Whether a head is too sure or not sure enough."""
    assert fit_temperature([part(heat)]) == pytest.approx(heat, rel=0.08)


def test_the_error_falls():
    """On dev data and on others of the same kind; answers are counted."""
    found = calibrate("mood", [part(2.5), replace(part(2.5, seed=1), split="test")])
    assert found is not None
    assert [error.split for error in found.errors] == ["dev", "test"]
    for error in found.errors:
        assert error.count == 4000
        assert error.before > 0.1
        assert error.after < 0.03


def test_sources_count_the_same_whatever_their_size():
    """A large source does not drown a small one."""
    small, large = part(4.0, rows=2000), part(1.0, rows=2000, seed=1)
    whole = replace(
        large,
        logits=np.concatenate([large.logits] * 8),
        gold=np.concatenate([large.gold] * 8),
        ends=tuple(range(1, 16001)),
    )
    both = fit_temperature([small, large])
    assert 1.2 < both < 3.8
    assert fit_temperature([small, whole]) == pytest.approx(both, rel=0.02)


def test_labels_that_a_source_lacks_are_left_out():
    """Two of three labels are compared with each other alone, as they are scored."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6000, 3)).astype(np.float32) * 4
    logits[:, 1] += 3  # of no account
    chance = 1 / (1 + np.exp((logits[:, 0] - logits[:, 2]) / 2))
    gold = np.where(rng.random(6000) < chance, 2, 0)
    ends = tuple(range(1, 6001))
    two = Scored("s", "dev", "classification", logits, gold, ends, torch.tensor([0, -100, 1]))
    heat = fit_temperature([two])
    assert heat == pytest.approx(2.0, rel=0.08)
    error = calibration_error(two, heat)
    assert error is not None
    assert error[0] < 0.03


def test_a_head_that_is_always_right_is_not_sure_beyond_measure():
    """Little data cannot say that it never errs."""
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2] * 8] * 2
    right = Scored("s", "dev", "classification", logits, np.array([0, 1, 2] * 8), (24,))
    heat = fit_temperature([right])
    assert COLDEST * 2 < heat < 1
    assert torch.softmax(torch.tensor([2.0, 0, 0]) / heat, 0)[0] < 0.99


def test_there_is_nothing_to_fit_without_dev_data():
    """Test data are measured only."""
    assert calibrate("mood", [replace(part(2.0), split="test")]) is None
    assert calibrate("mood", []) is None


def documents(count: int = 40, width: int = 8) -> list[Features]:
    """Vectors of documents of a few words."""
    rng = np.random.default_rng(3)
    rows = [rng.normal(size=(6, width)).astype(np.float32) for _ in range(count)]
    return [Features(r, r.sum(axis=0), 6, r.max(axis=0), r[0], r[-1]) for r in rows]


def tensors(outputs: int, width: int = 8, **more: float) -> dict[str, np.ndarray]:
    """Random matrices with a hidden layer."""
    rng = np.random.default_rng(4)
    shapes = {"hidden.weight": (5, width), "hidden.bias": (5,)}
    shapes |= {"out.weight": (outputs, 5), "out.bias": (outputs,)}
    found = {n: rng.normal(size=shape).astype(np.float32) * 2 for n, shape in shapes.items()}
    return found | {name: np.full(1, value, np.float32) for name, value in more.items()}


@pytest.mark.parametrize("heat", [0.3, 1.7, 6.0])
def test_a_label_never_changes(heat):
    """Only its score does, and as the calibration computed it."""
    plain = tensors(3)
    docs = documents()
    before = Head(MOOD, plain, 8)(docs)
    after = Head(MOOD, heated(plain, heat), 8)(docs)
    assert [out.index for out in after] == [out.index for out in before]
    logits = row_logits(plain, np.stack([doc.total / 6 for doc in docs]))
    expected = torch.softmax(torch.from_numpy(logits) / heat, dim=1).numpy()
    assert np.allclose([out.scores for out in after], expected, atol=1e-5)


@pytest.mark.parametrize("heat", [0.3, 1.7, 6.0])
def test_spans_never_change(heat):
    """The cost of neighbouring spans is scaled along with the scores."""
    plain = tensors(5, adjacent=2.0)
    before = Head(NAMES, plain, 8)(documents())
    after = Head(NAMES, heated(plain, heat), 8)(documents())
    places = [
        [[(s.first, s.end, s.label) for s in out.spans] for out in outs] for outs in (before, after)
    ]
    assert places[0] == places[1]
    assert sum(map(len, places[0])) > 20


def test_weights_are_known_again_at_any_temperature():
    """A bundle's head is that of its run; another one's is not."""
    plain = tensors(5, adjacent=2.0)
    assert same_but_for_temperature(plain, heated(plain, 1.7))
    assert not same_but_for_temperature(
        plain, heated(plain | {"out.bias": plain["out.bias"] + 1}, 2)
    )
    assert not same_but_for_temperature(plain, heated(tensors(5, adjacent=3.0), 1.7))
    assert not same_but_for_temperature(plain, heated(tensors(5), 1.7))


def test_words_that_nobody_reads_as_spans_do_not_count():
    """No score of theirs is served, however sure or unsure."""
    logits = np.zeros((9, 5), np.float32)
    logits[:, 0] = 1
    outside = Scored("s", "dev", "spans", logits, np.zeros(9, np.intp), (4, 9))
    assert fit_temperature([outside]) == 1.0
    assert calibration_error(outside, 1.0) is None


def test_spans_are_counted_as_they_are_served():
    """One predicted span of two is right; one of a kind that the source lacks is no error."""
    rows = np.full((6, 5), -2.0, np.float32)
    for word, output in enumerate((1, 2, 0, 1, 0, 3)):
        rows[word, output] = 3.0
    marked = scored(
        NAMES,
        {"out.weight": np.eye(5, dtype=np.float32), "out.bias": np.zeros(5, np.float32)},
        [rows],
        SourceConfig("s", "names", "conll", among=("PER",)),
        "dev",
        [("B-PER", "I-PER", "O", "O", "O", "O")],
    )
    found = calibration_error(marked, 1.0)
    assert found is not None
    assert found[1] == 2
    assert found[0] == pytest.approx(0.48, abs=0.02)


def test_gold_rows_follow_the_words():
    """A row for each text, or for each word of all texts."""
    assert target_rows(MOOD, ["good", "bad"]).tolist() == [2, 0]
    assert target_rows(NAMES, [("O", "B-LOC"), ("I-PER",)]).tolist() == [0, 3, 2]


def test_the_error_is_that_of_equal_bins():
    """Two bins: mean scores 0.3 and 0.9, right in 1 of 2 and in 3 of 4 cases."""
    scores = np.array([0.2, 0.4, 0.85, 0.95, 0.9, 0.9])
    right = np.array([True, False, True, True, True, False])
    found = reliability_of(scores, right, 2)
    assert found is not None
    assert found.error == pytest.approx((2 * 0.2 + 4 * 0.15) / 6)
    assert [item.count for item in found.bins] == [2, 4]
    assert reliability_of(scores[:0], right[:0]) is None
    whole = reliability_of(np.ones(3), np.ones(3, bool))
    assert whole is not None
    assert whole.bins[-1].count == 3


def test_every_exported_head_is_calibrated(toy):
    """Its temperature lies in its file, and provenance and card say what it did."""
    bundle = open_bundle(toy.bundle)
    noted = {item["head"]: item for item in bundle.manifest.provenance["calibration"]}
    assert set(noted) == {"mood", "names", "tags"}
    for head in bundle.heads:
        assert load_file(toy.bundle / head.file)["temperature"][0] == np.float32(
            noted[head.name]["temperature"]
        )
    splits = [(error["source"], error["split"]) for error in noted["mood"]["errors"]]
    assert splits == [("reviews", "dev"), ("reviews", "test")]
    card = (toy.bundle / "MODEL_CARD.md").read_text()
    error = noted["mood"]["errors"][1]
    row = f"| reviews | test | {100 * error['before']:.2f} | {100 * error['after']:.2f} |"
    assert f"| mood | {noted['mood']['temperature']:.3f} {row}" in card
    assert "not calibrated" not in card


def test_what_is_recorded_is_what_is_served(toy):
    """The error after calibration, found anew with the finished bundle."""
    config = load_config(toy.config)
    data = load_all(config, toy.data)
    model = Model.load(toy.bundle, threads=1)
    spec = next(head for head in model.bundle.heads if head.name == "names")
    source = next(source for source in config.sources if source.name == "visits")
    found = score_part(
        model, spec, load_file(toy.bundle / spec.file), source, "test", data["visits"].test
    )
    model.close()
    noted = {
        item["head"]: item for item in open_bundle(toy.bundle).manifest.provenance["calibration"]
    }["names"]
    again = calibration_error(found, noted["temperature"])
    after = next(item["after"] for item in noted["errors"] if item["split"] == "test")
    assert again is not None
    assert again[0] == pytest.approx(after, abs=1e-6)


def test_calibration_may_be_left_out(toy, tmp_path):
    """Heads are then exactly those of the run, and the card says that scores are raw."""
    text = toy.config.read_text().replace("[export]", "[export]\ncalibrate = false")
    config_file = tmp_path / "raw.toml"
    config_file.write_text(text)
    config = load_config(config_file)
    shop = reopen_workshop(config, load_all(config, toy.data), toy.run)
    export_bundle(shop, tmp_path / "raw", {})
    assert "calibration" not in open_bundle(tmp_path / "raw").manifest.provenance
    assert "temperature" not in load_file(tmp_path / "raw/heads/mood.safetensors")
    assert "not calibrated" in (tmp_path / "raw/MODEL_CARD.md").read_text()
