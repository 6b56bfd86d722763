"""Engines are found by name, also those that the server does not know."""

import pytest

from polyhead_server.cli import main
from polyhead_server.engines import find_engine
from polyhead_server.errors import StartError


def installed(folder, target):
    """A distribution that brings an engine called "other"."""
    facts = folder / "other-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[polyhead_server.engines]\nother = {target}\n")
    (folder / "other_engine.py").write_text("def make(bundle, options):\n    return 'made'\n")
    (folder / "other_broken.py").write_text("import not_there_at_all\n")


def test_an_engine_of_another_distribution(tmp_path, monkeypatch, tiny_bundle):
    """Its entry point is called with the bundle and the options."""
    installed(tmp_path, "other_engine:make")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_engine("other")(None, None) == "made"


def test_an_engine_that_lacks_something(tmp_path, monkeypatch):
    """What is missing is named."""
    installed(tmp_path, "other_broken:make")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StartError, match="'other' cannot be loaded: it needs not_there_at_all"):
        find_engine("other")


def test_an_engine_that_is_not_installed(tiny_bundle, capsys):
    """One line with those that are, status 2."""
    arguments = ["serve", "--port=0", "--metrics-port=-1", "--engine=quantum"]
    assert main([*arguments, "--bundle", str(tiny_bundle)]) == 2
    err = capsys.readouterr().err
    assert "the engine 'quantum' is not installed; installed: openvino" in err
