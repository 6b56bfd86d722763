"""The playground as a user has it: a page in a real Chromium."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from gateway_processes import ask
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MILLISECONDS = 20_000
MARKS = """body => {
  const found = [];
  for (const mark of body.querySelectorAll("mark")) {
    const before = document.createRange();
    before.setStart(body, 0);
    before.setEndBefore(mark);
    const start = before.toString().length;
    found.push([mark.dataset.label, mark.textContent, start, start + mark.textContent.length]);
  }
  return found;
}"""
"""Each mark's label and text, and where it stands in the text as the page shows it."""


def open_chromium() -> Iterator[Browser]:
    """A browser for a fixture; where none is installed the test is skipped, which fails in CI."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@dataclass
class Playground:
    """The page."""

    page: Page
    url: str
    said: list[str] = field(default_factory=list)
    """Errors and warnings of the console."""
    asked: list[str] = field(default_factory=list)
    """URLs of all requests."""

    @classmethod
    def open(cls, browser: Browser, url: str, **options: Any) -> Playground:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        page = context.new_page()
        playground = cls(page, url)
        page.on("console", playground._hear)
        page.on("pageerror", lambda error: playground.said.append(str(error)))
        page.on("request", lambda request: playground.asked.append(request.url))
        page.goto(url)
        return playground

    def close(self) -> None:
        self.page.context.close()

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)

    @property
    def text(self) -> Locator:
        return self.page.get_by_role("textbox", name="Text", exact=True)

    @property
    def status(self) -> Locator:
        return self.page.locator("#status")

    @property
    def error(self) -> Locator:
        return self.page.get_by_role("alert")

    def task(self, name: str) -> Locator:
        return self.page.get_by_role("checkbox", name=name)

    def ready(self) -> Playground:
        """Wait for the tasks."""
        expect(self.task("sentiment")).to_be_checked(timeout=PATIENCE_MILLISECONDS)
        return self

    def annotate(self, text: str) -> None:
        """Write, press the keys, and wait for the answer."""
        self.text.fill(text)
        self.text.press("Control+Enter")
        self.answered()

    def answered(self) -> None:
        expect(self.status).to_contain_text("Annotated:", timeout=PATIENCE_MILLISECONDS)

    def body(self) -> Locator:
        return self.page.get_by_label("Annotated text")

    def marks(self) -> list[tuple[str, str, int, int]]:
        return [tuple(mark) for mark in self.body().evaluate(MARKS)]

    def program(self, language: str) -> str:
        """A program, by the copy button."""
        self.page.get_by_role("radio", name=language).check()
        self.page.get_by_role("button", name="Copy").click()
        expect(self.page.get_by_text("Copied.")).to_be_visible()
        return self.page.evaluate("navigator.clipboard.readText()")


def annotation(url: str, text: str, tasks: tuple[str, ...] = ("*",), **headers: str) -> Any:
    """The results of one text by task, with offsets in UTF-16 units, asked for without the page."""
    body = {"documents": [{"text": text}], "tasks": tasks, "offsetUnit": "OFFSET_UNIT_UTF16"}
    answer = ask(url, "/v1/annotate", body, **headers).json
    return {result["task"]: result for result in answer["annotations"][0]["results"]}


def spans(results: Any, task: str) -> list[tuple[str, str, int, int]]:
    return [
        (span["label"], span["text"], span["start"], span["end"])
        for span in results[task]["spans"]["spans"]
    ]
