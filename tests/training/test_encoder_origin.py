"""Runs and bundles name the encoder that was used, and no path."""

import json
import shutil

import pytest
from toy_data import toy_config

from polyhead_server.bundle import open_bundle
from polyhead_training.average import average_runs
from polyhead_training.card import CARD
from polyhead_training.config import load_config
from polyhead_training.config_types import EncoderConfig
from polyhead_training.encoder_origin import ORIGIN, EncoderOrigin, encoder_origin
from polyhead_training.export import provenance
from polyhead_training.pretrain_result import RECORD
from polyhead_training.workshop import ENCODER_FOLDER, open_workshop, reopen_workshop

CONFIGURED = EncoderConfig(model="some/model")


@pytest.mark.parametrize("given", [None, "other/model"])
def test_a_hub_id_is_the_one_that_was_used(given):
    """The one of the command, where it has one."""
    assert encoder_origin(CONFIGURED, given) == EncoderOrigin(given or "some/model")


def test_a_directory_stands_in_for_the_configured_model(tmp_path):
    """What its own configuration says is the name of an ancestor, or a path."""
    (tmp_path / "config.json").write_text(json.dumps({"_name_or_path": "an/ancestor"}))
    found = encoder_origin(CONFIGURED, str(tmp_path))
    assert found == EncoderOrigin("some/model", stand_in=True)
    configured = EncoderConfig(model=str(tmp_path))
    assert encoder_origin(configured, None) == EncoderOrigin(str(tmp_path))


@pytest.mark.parametrize("given", [True, False])
def test_what_pretraining_made_has_its_name(tmp_path, given):
    """Whether the command or the configuration gives the directory."""
    (tmp_path / RECORD).write_text(json.dumps({"name": "news"}))
    config = CONFIGURED if given else EncoderConfig(model=str(tmp_path))
    found = encoder_origin(config, str(tmp_path) if given else None)
    assert found == EncoderOrigin("news")


def test_a_bundle_says_so_and_names_no_path(toy):
    """In manifest and card."""
    manifest = open_bundle(toy.bundle).manifest
    assert manifest.encoder.model == "somewhere/tiny"
    assert manifest.provenance["encoder_taken_from"] == "a local directory"
    card = (toy.bundle / CARD).read_text(encoding="utf-8")
    assert "made from a local directory given for `somewhere/tiny`, fp32" in card
    for name in ("manifest.json", CARD):
        assert str(toy.encoder) not in (toy.bundle / name).read_text(encoding="utf-8")


def test_an_encoder_of_ones_own_is_named(toy, tmp_path):
    """And nothing else is said of where it came from."""
    encoder = shutil.copytree(toy.encoder, tmp_path / "encoder")
    (encoder / RECORD).write_text(json.dumps({"name": "news"}))
    config = tmp_path / "toy.toml"
    config.write_text(toy_config())
    shop = open_workshop(config, toy.data, str(encoder))
    assert shop.manifest().encoder.model == "news"
    assert "encoder_taken_from" not in provenance(shop)


def reopened(toy, folder):
    return reopen_workshop(load_config(toy.config), {}, folder)


def test_a_run_and_the_mean_of_runs_remember(toy, tmp_path):
    """Of several, the first tells, as it does for all else; one from before had no record."""
    first = shutil.copytree(toy.run, tmp_path / "first.run")
    (first / ENCODER_FOLDER / ORIGIN).write_text(json.dumps({"model": "other/model"}))
    average_runs([first, toy.run], tmp_path / "mean.run")
    for folder in (first, tmp_path / "mean.run"):
        assert reopened(toy, folder).manifest().encoder.model == "other/model"
    assert reopened(toy, toy.run).origin == EncoderOrigin("somewhere/tiny", stand_in=True)
    (first / ENCODER_FOLDER / ORIGIN).unlink()
    assert reopened(toy, first).origin == EncoderOrigin("somewhere/tiny")
