"""What `import polyhead` offers, and what it costs."""

import pickle
import pkgutil
import subprocess
import sys

import pytest

import polyhead
import polyhead.testing

HEAVY = (
    "numpy",
    "pandas",
    "pyarrow",
    "spacy",
    "torch",
    "rich",
    "grpc",
    "google.protobuf",
    "asyncio",
    "polyhead.testing",
)


def public(module):
    """Give the public names that a module really has, submodules aside."""
    submodules = {info.name for info in pkgutil.iter_modules(module.__path__)}
    ignored = {"annotations", "import_module", "TYPE_CHECKING", "Any"} | submodules
    return {name for name in vars(module) if not name.startswith("_")} - ignored


def test_all_says_what_is_there():
    """__all__ names every public thing, and nothing else; it is sorted as ruff sorts."""
    lazy = {"Client", "AsyncClient", "HttpClient"}
    assert set(polyhead.__all__) == public(polyhead) | lazy
    assert all(hasattr(polyhead, name) for name in polyhead.__all__)
    assert set(dir(polyhead)) == set(polyhead.__all__)


def test_testing_says_what_is_there():
    """The same for polyhead.testing."""
    assert set(polyhead.testing.__all__) == public(polyhead.testing)


def test_every_module_is_private():
    """Only the stubs, the testing service and what other libraries are met with are not."""
    modules = {info.name for info in pkgutil.iter_modules(polyhead.__path__)}
    assert {name for name in modules if not name.startswith("_")} == {
        *("admin", "pandas", "spacy", "testing", "v1")
    }


def test_an_unknown_name_is_an_attribute_error():
    """Lazy names do not swallow mistakes."""
    with pytest.raises(AttributeError, match="Klient"):
        _ = polyhead.Klient


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import polyhead", HEAVY),
        ("from polyhead import Client", ("numpy", "rich", "polyhead._aio", "polyhead._http")),
        ("from polyhead import HttpClient", ("numpy", "rich", "polyhead._aio", "polyhead._client")),
        ("import polyhead._cli", ("rich", "grpc")),
    ],
)
def test_importing_loads_no_more_than_it_must(statement, absent):
    """Heavy modules stay out until they are needed."""
    code = f"{statement}; import sys; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_results_survive_pickling(client):
    """An annotation that crosses a process boundary arrives equal, info included."""
    annotation = client.annotate("Apple is great")
    copy = pickle.loads(pickle.dumps(annotation))  # noqa: S301 - our own bytes
    assert copy == annotation
    assert copy.info == annotation.info


def test_results_are_equal_by_content(client):
    """The same text gives equal annotations from different requests; results are frozen."""
    one, other = client.annotate("Apple is great"), client.annotate("Apple is great")
    assert one == other
    assert one.info.request_id != other.info.request_id
    with pytest.raises(AttributeError):
        one.windows = 5


def test_results_know_their_kind(client):
    """Typed access refuses a result of another kind, and an unknown task."""
    annotation = client.annotate("Apple is great", ["pos"])
    with pytest.raises(TypeError, match="'pos' gives Tagging, not Spans"):
        annotation.spans("pos")
    with pytest.raises(KeyError):
        annotation.classification("sentiment")
    with pytest.raises(KeyError):
        client.list_tasks().task("nope")


def test_words_are_words():
    """A text given to Words is a mistake, and Words are equal by content."""
    with pytest.raises(TypeError, match="plain str"):
        polyhead.Words("a text")
    assert polyhead.Words(["a", "b"]) == polyhead.Words(("a", "b"))
    assert str(polyhead.Words(["a", "b"])) == "a b"
