"""What each bundle did: documents that were annotated, and what went wrong with others."""

from prometheus_client import CollectorRegistry

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead_server.errors import InternalError, InvalidRequestError, QueueFullError
from polyhead_server.rollout.figures import BundleFigures


def test_documents_of_a_stream_that_failed_are_not_annotated():
    """A call with several errors of a kind counts once, one of the caller's never."""
    registry = CollectorRegistry()
    figures = BundleFigures(registry).of("1", {"1"})
    invalid = InvalidRequestError([])
    full = QueueFullError(0.1)
    figures.answered([pb.AnnotateResponse(), InternalError(), invalid, InternalError()], 0.1)
    figures.answered([pb.AnnotateResponse(), pb.AnnotateResponse()], 0.1)
    figures.answered([full], 0.1)

    def metric(name, **labels):
        return registry.get_sample_value(
            f"polyhead_bundle_{name}", {"bundle_version": "1", **labels}
        )

    assert metric("documents_total") == 3
    assert metric("seconds_count") == 3
    assert metric("errors_total", error="internal") == 1
    assert metric("errors_total", error="overload") == 1
    assert metric("errors_total", error="deadline") in {None, 0}
