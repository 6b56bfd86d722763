"""The programs that the page gives to copy, run as they are."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from playground_page import Playground, annotation, open_chromium

AWKWARD = (
    'It\'s "the word" \\n $(touch oops) `id` $HOME 100% !! #\n'
    "JSON\n<<EOF ''' \"\"\" ${1+1}\t\u2028\u202eabc\u202c 👩‍💻 דנה the fans\\"
)


@pytest.fixture(scope="module")
def browser():
    yield from open_chromium()


@pytest.fixture(scope="module")
def playground(browser, live_gateway):
    grants = ["clipboard-read", "clipboard-write"]
    playground = Playground.open(browser, live_gateway.address, permissions=grants).ready()
    playground.annotate(AWKWARD)
    yield playground
    playground.close()


@pytest.fixture(scope="module")
def expected(live_gateway):
    return annotation(live_gateway.address, AWKWARD)


def run(folder, *command):
    """What a program says; it must do nothing else."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    return done.stdout


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_curl(playground, expected, tmp_path, shell):
    """The command asks for exactly what the page asked for."""
    answer = json.loads(run(tmp_path, shell, "-c", playground.program("curl")))
    assert answer["offsetUnit"] == "OFFSET_UNIT_UTF16"
    results = {one["task"]: one for one in answer["annotations"][0]["results"]}
    assert results == expected


def test_python(playground, expected, tmp_path):
    """The program uses the client, and prints each task's result."""
    lines = run(tmp_path, sys.executable, "-c", playground.program("Python")).splitlines()
    assert expected["sentiment"]["classification"]["label"] in lines
    words = expected["pos"]["tagging"]["words"]
    for word in words[:3]:
        assert f"{word['text']} {word['tag']} {word['start']} {word['end']}" in lines
    for span in expected["products"]["spans"]["spans"][:1]:
        assert any(line.startswith(f"{span['label']} ") for line in lines)


def test_typescript(playground, expected):
    """The program runs in a browser and logs every result."""
    code = playground.program("TypeScript")
    heard = "const console = { said: [], log(one) { this.said.push(one) } };"
    logged = playground.page.evaluate(f"async () => {{ {heard}\n{code}\nreturn console.said; }}")
    assert {one["task"]: one for one in logged} == expected
