"""For all tests: in CI a skipped test is a failure, and no test changes the logs of the next."""

import os

import pytest
import structlog


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip into a failure where CI is set."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {call.excinfo.value}"
    return report


@pytest.fixture(autouse=True)
def logs_as_they_were():
    """Undo what a test or a command did to the process's logs."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
