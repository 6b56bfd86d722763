"""The TypeScript client in real headless Chromium, over gRPC-Web with CORS, without a bundler."""

import contextlib
import re
import shutil
import subprocess

import pytest

PATIENCE = 60
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
]
HTML = re.compile(r"```html\n(.*?)```", re.DOTALL)
MODULE = re.compile(r'<script type="module">.*?</script>', re.DOTALL)
# Ends every page: whatever happens, the test hears of it.
TOLD = """
<script>
  const tell = (report) => fetch("/report", { method: "POST", body: JSON.stringify(report) });
  addEventListener("error", (event) => tell({ fault: event.message }));
  addEventListener("unhandledrejection", (event) => tell({ fault: String(event.reason) }));
</script>
"""
SHOWN = """
<script type="module">
  const output = document.querySelector("output");
  const look = () => output.textContent && tell({ shown: output.textContent });
  new MutationObserver(look).observe(output, { childList: true });
  look();
</script>
"""
PROGRAM = """
<script type="module">
  import { InvalidArgumentError, PolyheadError, createPolyheadClient } from "@polyhead/client";

  const text = "Zoë 🎉 flew to תל אביב with 👩‍👩‍👧.";
  const client = createPolyheadClient({ baseUrl: "GATEWAY" });
  const annotation = await client.annotate(text, { requestId: "from-a-page" });
  const words = annotation.tagging("pos");
  const { tasks } = await client.listTasks();
  const bad = await client.annotate("  ").catch((error) => error);
  const stop = new AbortController();
  const left = client.annotate(text, { signal: stop.signal }).catch((error) => error);
  stop.abort();
  tell({
    cut: words.length > 4 && words.every((word) => text.slice(word.start, word.end) === word.text),
    tasks: tasks.map((task) => task.name),
    requestId: annotation.info.requestId,
    invalid: bad instanceof InvalidArgumentError && bad.violations[0].field,
    named: bad.requestId.length > 0,
    left: (await left).code,
  });
</script>
"""
CALL = """
<script type="module">
  import { createPolyheadClient } from "@polyhead/client";

  const client = createPolyheadClient({ baseUrl: "GATEWAY", retry: { maxAttempts: 1 } });
  client.listTasks().then(() => tell({}), (error) => tell({ code: error.code }));
</script>
"""


@pytest.fixture
def browse(package, pages, tmp_path):
    """Opens a page in Chromium and gives what it reports."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed: run `make sdk-packages`")

    def open_page(page):
        pages.page = page.encode()
        command = [chromium, *FLAGS, f"--user-data-dir={tmp_path}", "--remote-debugging-port=0"]
        with subprocess.Popen(
            [*command, pages.origin], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                return pages.reports.get(timeout=PATIENCE)
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()

    return open_page


@pytest.fixture
def example(package):
    """The README's page."""
    return HTML.search((package / "README.md").read_text(encoding="utf-8"))[1]


def test_the_readmes_page(browse, example, gateway):
    """The page shows what it found."""
    page = example.replace("http://localhost:8080", gateway.address)
    report = browse(page.replace("<output>", f"{TOLD}<output>") + SHOWN)
    assert report.get("shown") in {"negative", "neutral", "positive"}, report


def test_calls(browse, example, gateway):
    """Offsets, tasks, typed errors with fields, the request's name and cancellation."""
    page = MODULE.sub(lambda _: TOLD + PROGRAM.replace("GATEWAY", gateway.address), example)
    assert browse(page) == {
        "cut": True,
        "tasks": ["sentiment", "entities", "pos", "topic"],
        "requestId": "from-a-page",
        "invalid": "documents[0].text",
        "named": True,
        "left": "CANCELLED",
    }


def test_a_gateway_that_does_not_know_the_page(browse, example, guarded_gateway):
    """A page whose origin was not allowed cannot reach the gateway, and is told so."""
    page = MODULE.sub(lambda _: TOLD + CALL.replace("GATEWAY", guarded_gateway.address), example)
    assert browse(page) == {"code": "UNAVAILABLE"}
