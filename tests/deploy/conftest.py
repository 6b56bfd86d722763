"""Each file of values, rendered once by the real helm."""

from __future__ import annotations

import pytest
from chart import HELM, VALUES, render

CASES = {"defaults": None} | {file.stem: file for file in sorted(VALUES.glob("*.yaml"))}


@pytest.fixture(scope="session", autouse=True)
def helm_is_there():
    assert HELM.is_file(), "make build/helm/helm, or set HELM"


@pytest.fixture(scope="session", params=CASES, ids=str)
def case(request):
    """A file of values; None for the defaults."""
    return CASES[request.param]


@pytest.fixture(scope="session")
def rendered(case):
    return render(case)
