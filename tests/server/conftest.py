"""A tiny bundle for all tests, and a server of it for each module."""

from __future__ import annotations

import pytest
from background_server import BackgroundServer
from tiny_bundle import write_tiny_bundle

from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Three versions of the bundle, to be left as they are."""
    folder = tmp_path_factory.mktemp("versions")
    return [write_tiny_bundle(folder / version, version) for version in ("1", "2", "3")]


@pytest.fixture(scope="module")
def server(tiny_bundle):
    server = BackgroundServer(tiny_bundle)
    yield server
    server.close()


@pytest.fixture(scope="module")
def stub(server):
    return AnnotationServiceStub(server.channel)
