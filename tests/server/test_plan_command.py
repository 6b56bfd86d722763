"""`polyhead-server plan`: speeds from files and from this machine, and promises that are kept."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from background_server import BackgroundServer

from polyhead import AsyncClient
from polyhead_server.cli import main
from polyhead_server.plan.calibrate import calibrate
from polyhead_server.plan.measured import read_speed, write_speed
from polyhead_server.plan.sizing import Speed

BENCH = {
    "medians": {
        "single/16": 20_000.0,
        "single/16/server_cpu_per_text": 0.002,
        "single/64/server_cpu_per_text": 0.005,
        "batch32/16/server_cpu_per_text": 0.001,
        "single/mix/server_cpu_per_text": 0.004,
    }
}
RPS, SECONDS = 20, 2


@pytest.fixture
def bench_file(tmp_path):
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(BENCH))
    return file


@pytest.fixture(scope="module")
def measured(tiny_bundle, tmp_path_factory):
    """What calibration says of this machine."""
    file = tmp_path_factory.mktemp("speed") / "speed.json"
    demand = ("--rps", str(RPS), "--p99", "2s", "--length", "12")
    assert main(["plan", *demand, "--bundle", str(tiny_bundle), "--save", str(file)]) == 0
    return file


def test_a_bench_is_a_line(bench_file):
    """Processor time of single texts, by length: the path, and so much a token."""
    speed = read_speed(bench_file)
    assert speed.run == pytest.approx((0.0, 0.003 / 48, 0.0))
    assert speed.path == pytest.approx(0.001)


def test_a_speed_is_read_as_it_was_written(tmp_path):
    """Both ways nothing is lost."""
    speed = Speed((0.001, 0.0001, 1e-7), 0.0005, 0.002, 128, "a machine")
    write_speed(speed, tmp_path / "speed.json")
    assert read_speed(tmp_path / "speed.json") == speed


def test_json(bench_file, capsys):
    """Demand, speed and plan as JSON; 1000 texts a second of 2.25 ms, three quarters full."""
    asked = ("--rps", "1000", "--p99", "100ms", "--length", "20", "--price-per-core-hour", "0.05")
    assert main(["plan", *asked, "--measured", str(bench_file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["service"] == pytest.approx(0.00225)
    assert found["plan"]["replicas"] == 3 + 1
    assert found["plan"]["p99"] <= found["demand"]["p99"] == pytest.approx(0.1)
    assert found["price_per_million_texts"] == pytest.approx(4 * 0.05 / 3.6)


def test_words(bench_file, capsys):
    """The same for people."""
    asked = ("--rps", "100", "--p99", "0.1", "--length", "20", "--price-per-core-hour", "0.05")
    assert main(["plan", *asked, "--measured", str(bench_file)]) == 0
    said = capsys.readouterr().out
    assert "2, of which 1 may be lost" in said
    assert "for a million texts" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--rps", "0", "--p99", "1s", "--length", "20"), "--rps: 0 is out of range"),
        (("--rps", "inf", "--p99", "1s", "--length", "20"), "--rps: inf is out of range"),
        (("--rps", "1", "--p99", "nan", "--length", "20"), "--p99: nan is out of range"),
        (
            ("--rps", "1", "--p99", "1s", "--length", "20", "--price-per-core-hour", "nan"),
            "--price-per-core-hour: nan is out of range",
        ),
        (("--rps", "1", "--p99", "1ms", "--length", "20"), "a text of 40 tokens takes"),
    ],
)
def test_what_cannot_be_is_told(bench_file, capsys, arguments, problem):
    """In one line, with code 2."""
    assert main(["plan", *arguments, "--measured", str(bench_file)]) == 2
    assert problem in capsys.readouterr().err


def test_no_figures(tmp_path, capsys):
    """A file without figures of speed is named."""
    file = tmp_path / "other.json"
    file.write_text("{}")
    asked = ("--rps", "1", "--p99", "1s", "--length", "20")
    assert main(["plan", *asked, "--measured", str(file)]) == 2
    assert f"{file} holds no figures of speed" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before(tmp_path, capsys, tiny_bundle):
    asked = ("--rps", "1", "--p99", "1s", "--length", "20", "--bundle", str(tiny_bundle))
    before = time.monotonic()
    assert main(["plan", *asked, "--save", str(tmp_path / "not/there")]) == 2
    assert "--save: there is no folder" in capsys.readouterr().err
    assert time.monotonic() - before < 5


def test_calibration_does_as_it_says_whatever_the_environment(tiny_bundle, tmp_path, monkeypatch):
    """Servers here may be told to cache, to ask for tokens, or to be several."""
    token = tmp_path / "token"
    token.write_text("abc")
    monkeypatch.setenv("POLYHEAD_TOKEN_FILE", str(token))
    monkeypatch.setenv("POLYHEAD_WORKERS", "2")
    monkeypatch.setenv("POLYHEAD_CACHE_MB", "8")
    speed = calibrate(tiny_bundle, 12, 24, seconds=0.3)
    assert speed.text_seconds(12) > 1e-5


def test_calibration(measured):
    """A text costs something, a longer one no less, and nothing is negative."""
    speed = read_speed(measured)
    assert 0 < speed.text_seconds(10) <= speed.text_seconds(100) < 1
    assert min(*speed.run, speed.path, speed.jitter) >= 0
    assert "this machine" in speed.source


async def test_the_promise_is_kept(measured, tiny_bundle, capsys):
    """One replica of the plan answers the planned load, in open loop, within the planned p99."""
    asked = ("--rps", str(RPS), "--p99", "2s", "--length", "12", "--failures", "0", "--json")
    assert main(["plan", *asked, "--measured", str(measured)]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["replicas"] == 1
    server = await asyncio.to_thread(BackgroundServer, tiny_bundle)
    async with AsyncClient(server.ready.address) as client:
        await client.wait_ready(10)
        seconds = sorted(await _offered(client))
    await asyncio.to_thread(server.close)
    assert len(seconds) == RPS * SECONDS
    assert seconds[len(seconds) * 99 // 100] <= 2.0


async def _offered(client):
    """Seconds of each call, from when it was due."""
    start = time.perf_counter()

    async def call(due):
        await asyncio.sleep(due - time.perf_counter())
        await client.annotate("the " * 10)
        return time.perf_counter() - due

    return await asyncio.gather(*(call(start + n / RPS) for n in range(RPS * SECONDS)))
