"""How the page looks and is read aloud, light and dark, wide and narrow; and its live figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from gateway_processes import ask
from playground_page import Playground, annotation, open_chromium
from playwright.sync_api import expect

SHOTS = Path(__file__).parents[2] / "build/screenshots"
TEXT = "The fans in Word Town loved it 👍.\nדנה כהן גרה בתל אביב the fans\nThe word said the word."
SIZES = {"wide": (1280, 900), "narrow": (360, 740)}


@pytest.fixture(scope="module")
def browser():
    yield from open_chromium()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_accessible_in_every_look(browser, live_gateway, scheme, size):
    """No rule of axe is broken, contrast included, and nothing sticks out to the side."""
    width, height = SIZES[size]
    playground = Playground.open(
        browser,
        live_gateway.address,
        color_scheme=scheme,
        viewport={"width": width, "height": height},
    ).ready()
    playground.annotate(TEXT)
    playground.body().locator(".word").nth(4).focus()
    playground.page.get_by_text("Key or token").first.click()
    expect(playground.page.locator(".tiles")).to_be_visible()
    SHOTS.mkdir(parents=True, exist_ok=True)
    playground.page.screenshot(path=SHOTS / f"playground-{scheme}-{size}.png", full_page=True)
    assert playground.page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(playground.page)
    assert found.violations_count == 0, found.generate_report()
    playground.close()


def test_landmarks_and_names(browser, live_gateway):
    """A screen reader finds the parts of the page, and is told of results and errors."""
    playground = Playground.open(browser, live_gateway.address).ready()
    playground.annotate(TEXT)
    page = playground.page
    for role, name in (
        ("banner", None),
        ("main", None),
        ("navigation", "Documentation"),
        ("region", "Ask"),
        ("region", "Annotation"),
        ("region", "The same request"),
        ("region", "Server, live"),
        ("group", "Tasks"),
        ("group", "Annotated text"),
        ("radiogroup", "Language"),
        ("table", "Scores of sentiment"),
    ):
        expect(page.get_by_role(role, name=name)).to_be_visible()
    assert playground.status.get_attribute("role") == "status"
    label = annotation(live_gateway.address, TEXT)["sentiment"]["classification"]["label"]
    expect(playground.status).to_contain_text(f"Annotated: sentiment {label}, ")
    playground.close()


def test_live_figures(browser, live_gateway):
    """Throughput, latency and queue come from the server's metrics, as text."""
    playground = Playground.open(browser, live_gateway.address).ready()
    tiles = playground.page.locator(".tiles > div")
    expect(playground.page.locator(".tiles")).to_be_visible(timeout=10_000)
    playground.annotate(TEXT)
    expect(tiles.filter(has_text="Texts/s")).to_contain_text("peak", timeout=10_000)
    expect(tiles.filter(has_text="p95")).to_contain_text(re.compile(r"\d m?s"))
    titles = tiles.locator("dt").all_inner_texts()
    assert titles == [
        *("Requests/s", "Texts/s", "Tokens/s"),
        *("Latency, p50", "Latency, p95", "Queue, tokens"),
    ]
    playground.page.get_by_role("button", name="Pause").click()
    expect(playground.page.get_by_role("button", name="Go on")).to_be_visible()
    playground.close()


def test_live_figures_are_off(browser, gateway):
    """A gateway that was not told to shows no metrics to anybody, and says how to."""
    answer = ask(gateway, "/playground/metrics")
    assert (answer.status, answer.body) == (204, b"")
    playground = Playground.open(browser, gateway.address).ready()
    expect(playground.page.get_by_text("--live-metrics HOST:PORT")).to_be_visible()
    assert playground.said == []
    playground.close()


def test_live_metrics_are_the_servers(live_gateway):
    """What the page reads is the server's own text."""
    answer = ask(live_gateway, "/playground/metrics")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert b"polyhead_queue_tokens 0.0" in answer.body


def test_figures_between_two_readings(browser, live_gateway):
    """Rates and quantiles are what Prometheus would say; a server that began anew gives none."""
    playground = Playground.open(browser, live_gateway.address).ready()
    result = playground.page.evaluate(
        """async ([older, newer]) => {
          const { between, reading, samples } = await import("/playground/prometheus.js");
          const [one, other] = [reading(older, 10), reading(newer, 12)];
          return [between(one, other), between({ ...other, at: 8 }, one), samples(newer)[0]];
        }""",
        [metrics(0, (0, 0, 0), 7), metrics(20, (8, 18, 20), 9)],
    )
    figures, after_restart, sample = result
    assert figures == {
        "requests": 10.0,
        "texts": 40.0,
        "tokens": 200.0,
        "half": pytest.approx(0.1 + 0.1 * (10 - 8) / 10),
        "most": pytest.approx(0.2),
        "waiting": 9,
    }
    assert after_restart is None
    assert sample["labels"]["note"] == 'a \\"quoted\\" one, {odd}'
    playground.close()


def test_live_figures_of_several_servers(browser, live_gateway):
    """Where a gateway asks one server now and another then, each is compared with itself."""
    playground = Playground.open(browser, live_gateway.address).ready()
    first, later = metrics(0, (0, 0, 0), 7), metrics(20, (8, 18, 20), 9)
    other = metrics(5_000_000, (1, 2, 3), 1)
    texts = [
        f"process_start_time_seconds {start}\n{text}"
        for start, text in ((10, first), (11, other), (10, later), (11, other))
    ]
    playground.page.evaluate(
        """async (texts) => {
          const { LiveView } = await import("/playground/live.js");
          const place = document.createElement("section");
          place.id = "several";
          document.body.append(place);
          new LiveView(place, { metrics: async () => texts.shift() }).start();
        }""",
        texts,
    )
    shown = playground.page.locator("#several .now").first
    expect(shown).to_have_text(re.compile(r"^[4-8](\.\d+)?$"), timeout=10_000)
    playground.close()


def metrics(calls, counts, waiting):
    """Metrics as a server writes them."""
    call = 'grpc_type="unary",grpc_service="polyhead.v1.AnnotationService",grpc_method="Annotate"'
    health = 'grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check"'
    bounds = zip(("0.1", "0.2", "+Inf"), counts, strict=True)
    buckets = [
        f'grpc_server_handling_seconds_bucket{{{call},le="{bound}"}} {count}'
        for bound, count in bounds
    ]
    return "\n".join(
        [
            "# HELP odd A comment.",
            'odd{note="a \\"quoted\\" one, {odd}"} 1',
            f'grpc_server_handled_total{{{call},grpc_code="OK"}} {calls}',
            f'grpc_server_handled_total{{{health},grpc_code="OK"}} {calls * 100}',
            f"polyhead_documents_total {calls * 4}",
            f"polyhead_batch_tokens_sum {calls * 20}",
            f"polyhead_queue_tokens {waiting}",
            *buckets,
        ]
    )
