"""The Python client over HTTP against the real server: what it says over gRPC, it says here."""

from __future__ import annotations

import pytest

from polyhead import Client, HttpClient, InvalidArgumentError, Words

DOCUMENTS = ["the fans won 😀 in Berlin", Words(["the", "team", "lost"]), "fans " * 700]


@pytest.fixture(scope="module")
def clients(server, gateway):
    with Client(server.address) as direct, HttpClient(gateway.address) as over_http:
        yield direct, over_http


def plain(value):
    """An annotation as data whose numbers compare within the digits that JSON may lose."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


@pytest.mark.parametrize("unit", ["code_point", "utf8_byte", "utf16"])
def test_documents(clients, unit):
    """Texts, words and texts of several windows are annotated alike, in every offset unit."""
    wanted, found = (one.annotate_many(DOCUMENTS, offset_unit=unit) for one in clients)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.to_dict()["results"] == plain(theirs.to_dict()["results"])
        assert (ours.windows, ours.tokens) == (theirs.windows, theirs.tokens)
    assert found.info.bundle_version == wanted.info.bundle_version
    assert found[2].windows > 1


def test_a_stream(clients):
    """Bulk work gives the same outcomes, errors of items included."""
    items = [*DOCUMENTS, " ", Words(["a", ""])] * 30
    wanted, found = (list(one.annotate_stream(items, ordered=True)) for one in clients)
    for ours, theirs in zip(found, wanted, strict=True):
        assert str(ours.error) == str(theirs.error)
        if theirs.annotation is not None:
            results = ours.annotation.to_dict()["results"]
            assert results == plain(theirs.annotation.to_dict()["results"])


def test_tasks_and_errors(clients):
    """The bundle is described alike, and a broken request is refused alike."""
    direct, over_http = clients
    assert over_http.list_tasks() == direct.list_tasks()
    errors = []
    for client in clients:
        with pytest.raises(InvalidArgumentError) as caught:
            client.annotate_many(["fine", " "], ["nope"], request_id="same")
        errors.append(caught.value.to_dict())
    assert errors[0] == errors[1]
