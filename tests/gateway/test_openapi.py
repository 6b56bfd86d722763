"""The OpenAPI document is what the protos give, and what the live gateway does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis
from gateway_processes import ask
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

ROOT = Path(__file__).parents[2]
DATA = ROOT / "server/polyhead_server/gateway/data"
DESCRIPTIONS = ["polyhead.binpb", "site/openapi.json"]
EXAMPLES = 40

DOCUMENT = json.loads((DATA / "site/openapi.json").read_text(encoding="utf-8"))
API = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {result.ok().label: result.ok() for result in API.get_all_operations()}
LOOSE = [positive_data_acceptance, negative_data_rejection]
"""Not to be had: a schema cannot say which tasks there are, and unknown fields are passed over."""
RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
WALKS = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in (RIGHT, WRONG)
    if mode is RIGHT or operation.body  # without a body there is nothing to do wrong
]


@pytest.mark.parametrize(("label", "mode"), WALKS)
def test_every_operation(gateway, label, mode):
    """Whatever is asked, right or wrong, the answer is one of the document's, and no fault."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def walk(case):
        case.call_and_validate(base_url=gateway.address, excluded_checks=LOOSE)

    walk()


def test_fields_of_a_query_are_described():
    """A client that was generated can ask for what the server answers."""
    parameters = DOCUMENT["paths"]["/v1/tasks"]["get"]["parameters"]
    assert [p["name"] for p in parameters if p["in"] == "query"] == ["bundleVersion"]


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """A folder with what tools/describe makes now."""
    folder = tmp_path_factory.mktemp("described")
    command = [sys.executable, "-m", "tools.describe", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_descriptions_are_made_from_the_protos(described, name):
    """Descriptor set and document are what tools/describe makes, byte for byte."""
    assert (described / name).read_bytes() == (DATA / name).read_bytes()


def test_document_is_served(gateway):
    """/openapi.json is the document, and every operation has words and an answer for errors."""
    answer = ask(gateway, "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == DOCUMENT
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert {"200", "400", "401", "413", "429", "503"} <= set(operation["responses"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/docs", "text/html"), ("/docs.js", "text/javascript"), ("/docs.css", "text/css")],
)
def test_page(gateway, path, kind):
    """The readable page comes with everything it needs, and may load nothing from elsewhere."""
    answer = ask(gateway, path)
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert b"://" not in answer.body
    assert ask(gateway, path, verb="HEAD").status == 200
