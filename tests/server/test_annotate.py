"""What a good call gets: results typed by kind, in order, with version and timings."""

from __future__ import annotations

import pytest
from background_server import PATIENCE

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1 import task_pb2


def request(text="the fans won", tasks=("pos",)):
    return pb.AnnotateRequest(documents=[doc.Document(text=text)], tasks=tasks)


def test_list_tasks(stub):
    """ListTasks publishes the bundle's heads with kinds, labels, figures, and the limits."""
    answer = stub.ListTasks(pb.ListTasksRequest(), timeout=PATIENCE)
    assert (answer.bundle_name, answer.bundle_version) == ("tiny", "1")
    assert [(task.name, task.kind) for task in answer.tasks] == [
        ("sentiment", task_pb2.HEAD_KIND_CLASSIFICATION),
        ("entities", task_pb2.HEAD_KIND_SPANS),
        ("pos", task_pb2.HEAD_KIND_TAGGING),
        ("topic", task_pb2.HEAD_KIND_CLASSIFICATION),
    ]
    assert list(answer.tasks[0].labels) == ["negative", "neutral", "positive"]
    assert answer.tasks[0].figures[0].metric == "accuracy"
    assert answer.limits.max_documents == 1024
    assert answer.limits.max_text_chars == 100_000
    assert answer.limits.max_request_chars == 1_000_000


def test_results_stand_in_the_order_asked_for(stub):
    """Results come in the order of the tasks, documents in the order of the request."""
    asked = pb.AnnotateRequest(
        documents=[doc.Document(text="the fans"), doc.Document(text="the fans in the word")],
        tasks=["topic", "entities", "sentiment", "pos"],
    )
    answer = stub.Annotate(asked, timeout=PATIENCE)
    for annotation in answer.annotations:
        assert [result.task for result in annotation.results] == list(asked.tasks)
    assert [len(a.results[3].tagging.words) for a in answer.annotations] == [2, 5]
    scores = [score.score for score in answer.annotations[0].results[2].classification.scores]
    assert len(scores) == 3
    assert sum(scores) == pytest.approx(1, abs=1e-5)


def test_every_answer_says_where_its_time_went(stub):
    """Timings of all stages and the bundle's version are in the response."""
    answer = stub.Annotate(request(), timeout=PATIENCE)
    assert answer.bundle_version == "1"
    assert answer.timings.tokenize_seconds > 0
    assert answer.timings.queue_seconds >= 0
    assert answer.timings.encode_seconds > 0
    assert answer.timings.heads_seconds > 0
