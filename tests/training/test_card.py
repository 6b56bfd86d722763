"""The model card states figures, data, licences and limits from the manifest."""

from dataclasses import replace

import pytest

from polyhead_server.bundle import EncoderSpec, Figure, HeadSpec, Manifest, TokenizerSpec
from polyhead_training.card import STAND_IN, model_card


def data_set(name: str, licence: str, *, trained_on: bool = True) -> dict[str, object]:
    """A data set as the provenance has it."""
    return {"name": name, "head": "mood", "licence": licence, "trained_on": trained_on}


def manifest(*sets, figures=(), torch_figures=()) -> Manifest:
    """A manifest of one head."""
    head = HeadSpec("mood", "classification", ("sad", "glad"), "heads/m", figures=figures)
    return Manifest(
        name="demo",
        version="3",
        language="en",
        encoder=EncoderSpec("encoder.xml", "int8", 32, "some/model"),
        tokenizer=TokenizerSpec("t", "w", (2,), (3,), 1, 128, 32),
        heads=(head,),
        provenance={"data_sets": list(sets), "torch_figures": list(torch_figures)},
    )


def test_the_card_describes_the_bundle():
    """Name, version, encoder, window and labels."""
    card = model_card(manifest())
    assert card.startswith("# demo 3\n")
    assert "`some/model`, int8, 32 values a token" in card
    assert "128 tokens" in card
    assert "| mood | classification | sad, glad |" in card
    assert "## Limits" in card


def test_an_encoder_from_a_directory_is_not_said_to_be_the_model():
    """Nobody knows."""
    one = manifest()
    one = replace(one, provenance={**one.provenance, "encoder_taken_from": STAND_IN})
    assert "made from a local directory given for `some/model`, int8" in model_card(one)


def test_figures_stand_beside_those_of_torch():
    """In percent; empty where torch was not measured."""
    figures = (Figure("a", "dev", "accuracy", 0.98765), Figure("b", "test", "accuracy", 0.5))
    reference = {"head": "mood", "source": "a", "split": "dev", "metric": "accuracy", "value": 0.99}
    card = model_card(manifest(figures=figures, torch_figures=[reference]))
    assert "| mood | a | dev | accuracy | 98.77 | 99.00 |" in card
    assert "| mood | b | test | accuracy | 50.00 |  |" in card


def test_a_bundle_without_figures_has_no_table_of_them():
    """Nothing is made up."""
    assert "## Figures" not in model_card(manifest())


def test_data_are_listed_with_use_and_licence():
    """What was only measured on is told from what was learned."""
    card = model_card(manifest(data_set("a", "MIT"), data_set("b", "CC0", trained_on=False)))
    assert "| a | mood | training | MIT |" in card
    assert "| b | mood | measuring only | CC0 |" in card
    assert "Commercial use" not in card


@pytest.mark.parametrize(
    "licence", ["research use only", "CC BY-NC 4.0", "non-commercial", "not stated"]
)
def test_restricted_training_data_are_pointed_out(licence):
    """A reader who sells things must learn of it; data that were only measured on do not count."""
    card = model_card(manifest(data_set("a", licence), data_set("b", "MIT")))
    assert "**Commercial use:**" in card
    assert "stated: a. Whether" in card
    assert "Commercial" not in model_card(manifest(data_set("a", licence, trained_on=False)))


def test_share_alike_data_are_pointed_out():
    """Attribution is due."""
    assert "Share-alike data: a;" in model_card(manifest(data_set("a", "CC BY-SA 4.0")))


def test_one_task_is_not_many():
    """The first sentence counts the heads."""
    one = manifest()
    assert "1 task head," in model_card(one)
    two = replace(one, heads=(one.heads[0], replace(one.heads[0], name="other")))
    assert "2 task heads," in model_card(two)
