"""The TypeScript client in Node: its own tests, and every transport against what really runs."""

import re

from gateway_keys import API_KEY


def test_package(package, run_in_package):
    """The package's tests pass, all of them."""
    _all_passed(run_in_package("npm", "test"))


def test_live(package, run_in_package, server, gateway, guarded_gateway):
    """The server over gRPC, the gateway over gRPC and gRPC-Web."""
    said = run_in_package(
        "npm",
        "run",
        "test:live",
        POLYHEAD_SERVER=f"http://{server.address}",
        POLYHEAD_GATEWAY=gateway.address,
        POLYHEAD_GUARDED_GATEWAY=guarded_gateway.address,
        POLYHEAD_API_KEY=API_KEY,
    )
    _all_passed(said)


def _all_passed(said):
    lines = re.findall(r"^\S+ (\w+) (\d+)$", said, re.MULTILINE)
    counts = {name: int(count) for name, count in lines}
    assert counts["pass"] > 0
    assert (counts["fail"], counts["skipped"], counts["todo"]) == (0, 0, 0)
