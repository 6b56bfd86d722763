"""The page at /, used in a real Chromium before a real gateway and server."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from gateway_processes import ask, running_gateway
from playground_page import Playground, annotation, open_chromium, spans
from playwright.sync_api import expect

PLAIN = "The fans in Word Town loved it, the word said."
SCRIPTS = (
    "דנה כהן גרה בתל אביב 👩‍💻 the fans\n\n"
    "👍🏽 رأى سمير مدينة برلين the word\n"
    "Zoe\u0308 flew 🇸🇪 to Krako\u0301w; the fans."
)
HOSTILE = (
    '<img src=x onerror="document.title=1"> <script>document.title=2</script> '
    "</textarea><svg/onload=document.title=3> ${document.title=4} the fans"
)
KEY = "0123456789abcdef-secret"
UNANSWERED = "Failed to load resource"


@pytest.fixture(scope="module")
def browser():
    yield from open_chromium()


@pytest.fixture
def opened(browser):
    """Opens pages, and sees at the end that they asked nobody else and had no complaints."""
    pages = []

    def open_page(url, *, refused=False, **options):
        pages.append((Playground.open(browser, url, **options), refused))
        return pages[-1][0]

    yield open_page
    for playground, refused in pages:
        here = urlsplit(playground.url).netloc
        assert {urlsplit(url).netloc for url in playground.asked} == {here}
        complaints = [one for one in playground.said if not (refused and UNANSWERED in one)]
        assert complaints == []
        playground.close()


@pytest.fixture
def playground(opened, live_gateway):
    return opened(live_gateway.address).ready()


def test_annotate_by_keyboard(playground):
    """Without a mouse: write, ask, and go through the words, each of which tells its tags."""
    playground.text.focus()
    playground.annotate(PLAIN)
    expected = annotation(playground.url, PLAIN)
    words = expected["pos"]["tagging"]["words"]
    playground.body().locator(".word").first.wait_for()
    for _ in range(30):
        playground.page.keyboard.press("Tab")
        if playground.page.evaluate("document.activeElement.className") == "word":
            break
    for place, key in ((0, "ArrowRight"), (1, "ArrowRight"), (2, "ArrowLeft"), (1, "End")):
        focused = playground.page.locator(".word:focus")
        word = words[place]
        assert focused.get_attribute("aria-label").startswith(f"{word['text']}: pos {word['tag']} ")
        expect(playground.page.locator(".tip")).to_contain_text(f"pos {word['tag']}")
        playground.page.keyboard.press(key)
    assert playground.page.locator(".word:focus").inner_text() == words[-1]["text"]
    playground.page.keyboard.press("Escape")
    expect(playground.page.locator(".tip")).to_be_hidden()
    playground.page.keyboard.press("Home")
    first = expected["entities"]["spans"]["spans"][0]
    if first["start"] > 0:
        playground.page.keyboard.press("ArrowDown")
    assert first["text"].startswith(playground.page.locator(".word:focus").inner_text())
    playground.page.keyboard.press("Tab")
    assert not playground.page.locator(".word:focus").count()


def test_tags_on_hover(playground):
    """A word that is pointed at shows what each task says of it."""
    playground.annotate(PLAIN)
    results = annotation(playground.url, PLAIN)
    word = results["pos"]["tagging"]["words"][3]
    playground.body().locator(".word").nth(3).hover()
    tip = playground.page.locator(".tip")
    expect(tip).to_contain_text(f"{word['text']}pos {word['tag']} {100 * word['score']:.1f}%")
    playground.page.get_by_role("heading", name="Text").hover()
    expect(tip).to_be_hidden()


@pytest.mark.parametrize("text", [PLAIN, SCRIPTS, "  \n " + SCRIPTS + " \n"])
def test_marks_are_at_the_right_characters(playground, text):
    """Emoji, combining marks, both directions: the text is whole, and marks are in their places."""
    playground.annotate(text)
    expected = spans(annotation(playground.url, text), "entities")
    assert expected
    assert playground.marks() == expected
    assert playground.body().evaluate("body => body.textContent") == text
    labels = "all => all.map(mark => getComputedStyle(mark, '::after').content)"
    shown = playground.body().locator("mark").evaluate_all(labels)
    assert [re.search(r"[A-Z]+", one)[0] for one in shown] == [label for label, *_ in expected]


def test_lines_have_directions_of_their_own(playground):
    """Right-to-left lines run so, beside others; arrow keys go where they point."""
    playground.annotate(SCRIPTS)
    lines = playground.body().locator(".line")
    directions = lines.evaluate_all("all => all.map(line => getComputedStyle(line).direction)")
    assert directions == ["rtl", "ltr", "rtl", "ltr"]
    word = playground.body().locator(".word")
    word.first.click()
    right = word.first.bounding_box()["x"]
    playground.page.keyboard.press("ArrowLeft")
    focused = playground.page.locator(".word:focus")
    assert focused.inner_text() == word.nth(1).inner_text()
    assert focused.bounding_box()["x"] < right


def test_labels_stay_beside_their_words(playground):
    """English marks in a Hebrew line: labels follow their words, which keep their order."""
    line = "דנה כהן גרה בתל אביב the fans"
    playground.annotate(f"The fans in Word Town loved it 👍.\n{line}\nThe word said the word.")
    found = "all => all.map(mark => [mark.textContent, mark.getClientRects().length])"
    marks = playground.body().locator(".line", has_text=line).locator("mark")
    assert marks.evaluate_all(found) == [[line[:20], 1], ["the", 1], ["fans", 1]]
    hebrew, the, fans = (mark.bounding_box()["x"] for mark in marks.all())
    assert the < fans < hebrew


def test_hostile_text_is_inert(playground):
    """Markup in a text is text: in marks, tables, tips and programs."""
    playground.annotate(HOSTILE)
    playground.page.locator("summary", has_text="pos: ").click()
    playground.body().locator(".word").first.hover()
    assert playground.body().evaluate("body => body.textContent") == HOSTILE
    assert playground.page.locator("main img, main script, .text svg").count() == 0
    assert playground.page.title() == "polyhead playground"
    expect(playground.page.get_by_label("The request as curl")).to_contain_text("<img src=x")


def test_scores(playground):
    """A classification has a bar and a figure for each label; of many labels the best are first."""
    playground.annotate(PLAIN)
    results = annotation(playground.url, PLAIN)
    card = playground.page.get_by_role("region", name="sentiment")
    rows = [row.inner_text().split() for row in card.get_by_role("row").all()]
    expected = results["sentiment"]["classification"]["scores"]
    assert rows == [[one["label"], f"{100 * one['score']:.1f}%"] for one in expected]
    bars = card.locator(".bar div").evaluate_all("all => all.map(one => one.style.inlineSize)")
    assert [float(bar.removesuffix("%")) for bar in bars] == pytest.approx(
        [100 * one["score"] for one in expected], abs=0.01
    )
    queue = playground.page.get_by_role("region", name="queue")
    many = sorted(
        results["queue"]["classification"]["scores"], key=lambda one: one["score"], reverse=True
    )
    assert [row.inner_text().split()[0] for row in queue.get_by_role("row").all()] == [
        one["label"] for one in many[:8]
    ]
    queue.get_by_text("4 more labels").click()
    assert queue.get_by_role("row").count() == 12


def test_added_heads(playground):
    """Heads that nobody foresaw are shown by kind; one of several kinds of spans is marked."""
    playground.annotate(PLAIN)
    results = annotation(playground.url, PLAIN)
    assert playground.marks() == spans(results, "entities")
    playground.page.get_by_label("Marks of").select_option("products")
    products = spans(results, "products")
    assert products
    expect(playground.body().locator("mark")).to_have_count(len(products))
    assert playground.marks() == products
    expect(playground.page.locator("summary").filter(has_text="products: ")).to_be_visible()


def test_tasks_are_picked(playground):
    """Only what is picked is asked for, shown, and written into programs."""
    for name in ("entities", "pos", "topic", "products", "queue"):
        playground.task(name).uncheck()
    playground.annotate(PLAIN)
    expect(playground.status).to_contain_text("Annotated: sentiment ")
    assert playground.page.locator("#results h3").all_inner_texts() == ["sentiment"]
    assert playground.body().count() == 0
    code = playground.page.get_by_label("The request as curl")
    expect(code).to_contain_text('"tasks": ["sentiment"]')
    playground.task("products").check()
    playground.annotate(PLAIN)
    expect(playground.status).to_contain_text("products")
    assert playground.marks() == spans(annotation(playground.url, PLAIN), "products")


def test_figures_of_the_request(playground):
    """Bundle, tokens, windows and times stand beneath."""
    playground.annotate(PLAIN)
    facts = playground.page.get_by_label("Figures of this request")
    names, values = (facts.locator(tag).all_inner_texts() for tag in ("dt", "dd"))
    pairs = dict(zip(names, values, strict=True))
    body = {"documents": [{"text": PLAIN}], "tasks": ["*"]}
    answer = ask(playground.url, "/v1/annotate", body).json
    assert pairs["bundle"] == answer["bundleVersion"]
    assert pairs["tokens"] == str(answer["annotations"][0]["tokens"])
    assert pairs["windows"] == str(answer["annotations"][0]["windows"])
    for name in ("tokenize", "queue", "encode", "heads", "round trip"):
        assert re.fullmatch(r"[\d.,]+ m?s", pairs[name])


def test_errors_name_the_field(opened, live_gateway):
    """What the server refuses is told with code and field, and mended by the next call."""
    playground = opened(live_gateway.address, refused=True).ready()
    playground.text.fill(" ")
    playground.page.get_by_role("button", name="Annotate").click()
    expect(playground.error).to_contain_text("INVALID_ARGUMENT")
    expect(playground.error.locator("code")).to_have_text("documents[0].text")
    expect(playground.error).to_contain_text(re.compile("HTTP 400 · request [0-9a-f-]{36}"))
    expect(playground.text).to_have_attribute("aria-invalid", "true")
    for box in playground.page.get_by_role("checkbox").all():
        box.uncheck()
    playground.text.fill(PLAIN)
    playground.page.get_by_role("button", name="Annotate").click()
    expect(playground.error.locator("code")).to_have_text("tasks")
    playground.task("topic").check()
    playground.annotate(PLAIN)
    assert playground.error.inner_text() == ""


def test_long_text(playground):
    """A long text is annotated whole; its words are listed page by page."""
    text = "The fans in Word Town said 👍 the word.\n" * 400
    playground.annotate(text)
    words = annotation(playground.url, text, ("pos",))["pos"]["tagging"]["words"]
    assert len(words) > 3000
    assert playground.body().evaluate("body => body.textContent") == text
    expect(playground.body().locator(".word")).to_have_count(len(words))
    playground.page.locator("summary", has_text="pos: ").click()
    table = playground.page.get_by_role("table", name="pos: ")
    expect(table.locator("tbody tr")).to_have_count(100)
    playground.page.get_by_role("button", name="Next").last.click()
    expect(playground.page.get_by_text(f"101 to 200 of {len(words):,}")).to_be_visible()
    first = table.locator("tbody tr").first.locator("td").all_inner_texts()
    assert first == [
        words[100]["text"],
        words[100]["tag"],
        f"{100 * words[100]['score']:.1f}%",
        str(words[100]["start"]),
        str(words[100]["end"]),
    ]


def test_description_of_the_api(opened, live_gateway):
    """The page at /docs shows every call, and sends one, under the same strict policy."""
    page = opened(f"{live_gateway.address}/docs").page
    for path in ("/v1/annotate", "/v1/annotate:stream", "/v1/tasks"):
        expect(page.get_by_role("heading", name=path, exact=False).first).to_be_visible()
    page.get_by_role("button", name="Send").last.click()
    expect(page.get_by_label("Answer").last).to_contain_text('"bundleName": "tiny"')


def test_keys_stay_in_memory(opened, rich_server, logs, tmp_path):
    """Where callers need a key the page asks for it, sends it, and writes it nowhere."""
    keys = tmp_path / "keys"
    keys.write_text(f"alice {KEY}\n")
    options = ("--api-keys", keys)
    with running_gateway(logs / "keyed.jsonl", rich_server, options=options) as gateway:
        playground = opened(gateway.address, refused=True)
        expect(playground.error).to_contain_text("UNAUTHENTICATED")
        secret = playground.page.get_by_label("Secret")
        expect(secret).to_be_visible()
        secret.fill(KEY)
        secret.press("Tab")
        playground.ready()
        playground.annotate(PLAIN)
        assert playground.marks()
        for language in ("curl", "Python", "TypeScript"):
            playground.page.get_by_role("radio", name=language).check()
            code = playground.page.get_by_label(f"The request as {language}")
            expect(code).to_contain_text("POLYHEAD_API_KEY")
            assert KEY not in code.inner_text()
        kept = "JSON.stringify([localStorage, sessionStorage, location.href, document.cookie])"
        assert KEY not in playground.page.evaluate(kept)
        playground.page.reload()
        expect(playground.error).to_contain_text("UNAUTHENTICATED")
