"""A bundle that is changed where it lies is whole at every moment."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from polyhead_server.bundle import UNFINISHED, open_bundle, seal_bundle
from polyhead_training.bundle_place import place_beside, take_place
from polyhead_training.bundle_update import update_bundle

CONTENT = b"new head"


class KilledError(BaseException):
    """Stands for a kill: nothing below handles it."""


@pytest.fixture
def bundle(toy, tmp_path):
    return shutil.copytree(toy.bundle, tmp_path / "bundle")


def other(manifest):
    """The manifest with its first head in a new file, and another version."""
    first, *rest = manifest.heads
    return replace(manifest, version="2", heads=(replace(first, file="heads/n.safetensors"), *rest))


def test_heads_and_card_follow_the_manifest(bundle):
    """Everything is digested, the head that nobody names is gone."""
    update_bundle(bundle, other(open_bundle(bundle).manifest), {"heads/n.safetensors": CONTENT})
    assert open_bundle(bundle).version == "2"
    assert (bundle / "heads/n.safetensors").read_bytes() == CONTENT
    assert not (bundle / "heads/mood.safetensors").exists()
    assert (bundle / "MODEL_CARD.md").read_text().startswith("# toy 2\n")
    assert not list(bundle.rglob(f"*{UNFINISHED}"))


@pytest.mark.parametrize("steps", range(9))
def test_a_kill_leaves_the_old_or_the_new(bundle, monkeypatch, steps):
    """Wherever it strikes: each rename and each removal is a place to be killed at."""
    before = open_bundle(bundle).manifest
    done = 0

    def dying(wrapped):
        def call(*arguments, **options):
            nonlocal done
            if done == steps:
                raise KilledError
            done += 1
            return wrapped(*arguments, **options)

        return call

    monkeypatch.setattr(Path, "replace", dying(Path.replace))
    monkeypatch.setattr(Path, "unlink", dying(Path.unlink))
    heads = {"heads/n.safetensors": CONTENT}
    finished = False
    try:
        update_bundle(bundle, other(before), heads)
        finished = True
    except KilledError:
        pass
    monkeypatch.undo()
    assert finished == (steps > 4)  # manifest, head, card, manifest, removal
    found = open_bundle(bundle).manifest
    assert found.version in ({"2"} if finished else {"1.0", "2"})
    update_bundle(bundle, other(before), {"heads/n.safetensors": b"third"} if not finished else {})
    assert open_bundle(bundle).version == "2"
    assert not list(bundle.rglob(f"*{UNFINISHED}"))


def test_what_an_interrupted_export_moved_away_comes_back(bundle, tmp_path):
    """Killed between the two renames, the old bundle is not lost."""
    old = bundle.rename(tmp_path / ".bundle.polyhead-old")
    fresh = place_beside(bundle)
    assert open_bundle(bundle).version == "1.0"
    assert not old.exists()
    shutil.copytree(bundle, fresh)
    seal_bundle(fresh, replace(open_bundle(fresh).manifest, version="2"))
    take_place(fresh, bundle)
    assert open_bundle(bundle).version == "2"
    assert list(tmp_path.iterdir()) == [bundle]


@pytest.mark.parametrize("there", [True, False])
def test_what_somebody_put_beside_stays(bundle, tmp_path, there):
    """Names that people give to what they keep are not ours to remove."""
    kept = [shutil.copytree(bundle, tmp_path / f"bundle.{mark}") for mark in ("old", "new")]
    if not there:
        shutil.rmtree(bundle)
    fresh = place_beside(bundle)
    shutil.copytree(kept[0], fresh)
    take_place(fresh, bundle)
    assert sorted(tmp_path.iterdir()) == sorted([bundle, *kept])
