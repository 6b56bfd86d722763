"""What `make audit` makes of the answers of a vulnerability service."""

from __future__ import annotations

import json

import pytest

from tools.audit.__main__ import conclude, read_report


def answer(*items):
    return json.dumps({"dependencies": list(items), "fixes": []})


GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {
    "name": "bad",
    "version": "2",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": [], "description": ""}],
}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize("text", ["", "Traceback", "[]", "{}", answer(UNKNOWN), answer()])
def test_no_answer(text, capsys):
    """Where nothing was looked up, that is said and is no failure."""
    assert read_report(text) is None
    assert conclude(None) == 0
    said = "not audited: no vulnerability service can be reached from here\n"
    assert capsys.readouterr().out == said


def test_no_vulnerabilities(capsys):
    """Packages that the service does not know are named."""
    report = read_report(answer(GOOD, UNKNOWN))
    assert conclude(report) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "unknown to the service: unknown",
        "1 packages audited, 0 known vulnerabilities",
    ]


def test_vulnerabilities(capsys):
    """Each is a line, and the whole a failure."""
    report = read_report(answer(GOOD, BAD))
    assert conclude(report) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bad 2: PYSEC-1, fixed in 3"
    assert lines[-1] == "2 packages audited, 1 known vulnerabilities"
