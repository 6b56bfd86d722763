"""Nothing that we ship unpickles, evaluates or executes data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "clients/python/polyhead",
    "server/polyhead_server",
    "training/polyhead_training",
    "tools",
)
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FUNCTIONS = {"eval", "exec", "compile", "__import__"}
"""Built-in functions that run text."""


def faults(tree: ast.AST) -> list[str]:
    """What in a module could run what it reads."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                found.append(module)
            case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
                found.append(f"{name}()")
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)):
                found += _library_fault(node, module, name)
            case ast.keyword(arg="allow_pickle" | "trust_remote_code", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    found.append(str(node.arg))
    return found


def _library_fault(call: ast.Call, module: str, name: str) -> list[str]:
    """Loaders of libraries that unpickle unless told otherwise."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if (module, name) == ("torch", "load"):
        safe = given.get("weights_only")
        good = isinstance(safe, ast.Constant) and safe.value is True
        return [] if good else ["torch.load without weights_only"]
    if module == "yaml" and name in ("load", "load_all", "unsafe_load", "full_load"):
        return [f"yaml.{name}"]
    return [f"pandas.{name}"] if name in ("read_pickle", "to_pickle") else []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_unpickles(package):
    """No module of a package imports a pickler, evaluates text, or loads without care."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    found = {
        file.relative_to(ROOT).as_posix(): wrong
        for file in files
        if (wrong := faults(ast.parse(file.read_text(encoding="utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "from joblib.numpy_pickle import load",
        "eval('1')",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "numpy.load(file, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=flag)",
        "yaml.load(text)",
        "pandas.read_pickle(file)",
    ],
)
def test_it_would_be_found(text):
    """Each way to run data is found."""
    assert faults(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(file, weights_only=True)",
        "numpy.load(file, allow_pickle=False)",
        "re.compile(x)",
    ],
)
def test_it_is_no_fault(text):
    """What is safe is let be."""
    assert not faults(ast.parse(text))
