"""Columns of pandas, annotated by a real service: on the same index, missing where nothing is."""

import pandas as pd
import pyarrow as pa
import pytest

from polyhead import Client, InvalidArgumentError
from polyhead.pandas import annotate

COLUMNS = ["sentiment", "sentiment_score", "entities", "pos", "topic", "topic_score"]


def test_a_column_of_a_frame(service):
    """Labels, scores, entities and tags are columns on the frame's own index."""
    frame = pd.DataFrame(
        {"review": ["I love Berlin", "Apple hates it"], "n": [1, 2]}, index=["b", "a"]
    )
    with Client(service.address) as client:
        found = annotate(frame, "review", client=client)
        assert client.health() == "serving"  # a client that is given stays open
    assert list(found.columns) == COLUMNS
    assert list(found.index) == ["b", "a"]
    assert list(found["sentiment"]) == ["positive", "neutral"]
    assert found["sentiment_score"].dtype == float
    entity = {"text": "Berlin", "start": 7, "end": 13, "label": "LOC", "score": 0.875}
    assert found.loc["b", "entities"] == [entity]
    assert found.loc["a", "pos"][:2] == [("Apple", "PROPN"), ("hates", "NOUN")]
    assert list(frame.join(found).columns) == ["review", "n", *COLUMNS]


@pytest.mark.parametrize("dtype", [object, "string", "category", pd.ArrowDtype(pa.string())])
def test_missing_values(service, dtype):
    """What is missing has missing results, in every kind of column, and fails nothing."""
    texts = pd.Series(
        ["I love it", None, float("nan"), pd.NA, "", " \n\u200b", "fine"], dtype=object
    )
    series = texts.astype(dtype)
    found = annotate(series, client=service.address, tasks=["sentiment", "pos"])
    there = [True, False, False, False, False, False, True]
    assert list(found.columns) == ["sentiment", "sentiment_score", "pos"]
    for column in found.columns:
        assert list(found[column].notna()) == there
    empty = annotate(series[1:6], client=service.address)
    assert empty.isna().all(axis=None)
    assert list(empty.columns) == COLUMNS
    assert annotate(series[:0], client=service.address).shape == (0, 6)


def test_many_rows(service):
    """Any number of rows goes over the bulk stream, an index with doubles included."""
    series = pd.Series([f"{n} in Berlin" for n in range(1000)], index=[n % 7 for n in range(1000)])
    found = annotate(series, client=service.address, tasks=["pos"], prefix="p_")
    assert list(found.columns) == ["p_pos"]
    assert [words[0][0] for words in found["p_pos"]] == [str(n) for n in range(1000)]
    assert list(found.index) == list(series.index)
    assert {call.method for call in service.calls} == {"ListTasks", "AnnotateStream"}


def test_words(service):
    """A cell may hold words; those of an array do too."""
    cells = pd.Series([["New York", "wins"], (), pd.Series(["a", "b"], dtype=object).to_numpy()])
    found = annotate(cells, client=service.address, tasks=["pos"])
    assert [words and len(words) for words in found["pos"]] == [2, None, 2]


def test_errors(service):
    """What is no text raises, or is named beside missing results."""
    series = pd.Series(["fine", 7, "also fine"], dtype=object)
    with pytest.raises(InvalidArgumentError, match="must be a str or Words, not int"):
        annotate(series, client=service.address)
    found = annotate(series, client=service.address, tasks=["topic"], errors="coerce")
    assert list(found["topic"].isna()) == [False, True, False]
    assert list(found["error"].isna()) == [True, False, True]
    assert "not int" in found["error"][1]


def test_wrong_arguments(service):
    """Wrong columns, tasks and kinds of data are refused at once."""
    frame = pd.DataFrame([["x", "y", "z"]], columns=["a", "b", "b"])
    for data, column, error in (
        (frame, None, ValueError),
        (frame, "b", ValueError),
        (frame, "c", KeyError),
        (frame["a"], "a", ValueError),
        (["x"], None, TypeError),
    ):
        with pytest.raises(error):
            annotate(data, column, client=service.address)
    with pytest.raises(KeyError, match="nope"):
        annotate(frame["a"], client=service.address, tasks=["nope"])
