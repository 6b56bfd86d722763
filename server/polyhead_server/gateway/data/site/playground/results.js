// One annotation, shown by the kinds of its results: whatever heads a bundle has.

import { count, counted, duration, make, percent } from "./elements.js";
import { PagedTable, scores } from "./tables.js";
import { TextView } from "./text_view.js";

const FEW_ROWS = 20;

export class Results {
  #shown = 0;

  constructor(parent) {
    this.parent = parent;
  }

  /**
   * @param text What was annotated.
   * @param answer The AnnotateResponse.
   * @param labels Labels by task.
   * @param seconds From asking to having the answer.
   */
  async show({ text, answer, labels, seconds }) {
    const [{ results, tokens, windows }] = answer.annotations;
    const found = sorted(results);
    const place = make("div");
    const listed = make("div", { class: "lists" }, ...lists(found));
    const cards = make("div", { class: "cards" }, ...found.classifications.map(card));
    const figures = facts(answer, { tokens, windows, seconds });
    this.parent.replaceChildren(place, cards, listed, figures);
    const view = (spans) => this.#mark(place, { text, labels, found, spans });
    if (found.spans.length > 1) place.before(choice(found.spans, view));
    await view(found.spans[0]);
  }

  /** The text with the spans of one task marked. */
  async #mark(place, { text, labels, found, spans }) {
    const mine = ++this.#shown;
    if (!spans && !found.taggings.length) return;
    const view = new TextView({
      text,
      marks: spans?.items ?? [],
      labels: labels.get(spans?.task) ?? [],
      words: found.taggings[0]?.items ?? spans.items,
      notes: (word) => notes(found, word),
    });
    place.replaceChildren(view.element, hint(found));
    await view.build(() => mine !== this.#shown);
  }
}

/** Results by kind. */
const sorted = (results) => ({
  classifications: results.filter((one) => one.classification),
  taggings: results
    .filter((one) => one.tagging)
    .map(({ task, tagging }) => ({ task, items: tagging.words ?? [] })),
  spans: results
    .filter((one) => one.spans)
    .map(({ task, spans }) => ({ task, items: spans.spans ?? [] })),
});

/** What all tasks say of a stretch of text: [task, label, score] each. */
const notes = ({ taggings, spans }, { start, end }) => [
  ...taggings.flatMap(({ task, items }) =>
    items.filter((one) => one.start === start).map((one) => [task, one.tag, percent(one.score)]),
  ),
  ...spans.flatMap(({ task, items }) =>
    items
      .filter((one) => one.start < end && start < one.end)
      .map((one) => [task, one.label, percent(one.score)]),
  ),
];

const hint = ({ taggings }) =>
  make(
    "p",
    { class: "muted hint" },
    taggings.length ? "Point at a word for its tags. " : "",
    "With the keyboard: tab to the text; left and right by words, up and down by marks.",
  );

const choice = (spans, view) => {
  const options = spans.map(({ task }, place) => make("option", { value: place }, task));
  const select = make("select", {}, ...options);
  select.addEventListener("change", () => view(spans[Number(select.value)]));
  return make("p", {}, make("label", {}, "Marks of ", select));
};

const card = ({ task, classification }) =>
  make(
    "section",
    { class: "card", "aria-label": task },
    make("h3", {}, task),
    make("p", { class: "verdict" }, make("bdi", {}, classification.label), ` ${percent(classification.score)}`),
    ...scores(task, classification),
  );

const lists = ({ spans, taggings }) => [
  ...spans.map(({ task, items }) => list(task, items, "span", "Label", (one) => one.label)),
  ...taggings.map(({ task, items }) => list(task, items, "word", "Tag", (one) => one.tag)),
];

const list = (task, items, noun, column, label) =>
  new PagedTable({
    summary: `${task}: ${counted(items.length, noun)}`,
    columns: ["Text", column, "Score", "From", "To"],
    rows: items,
    cells: (one) => [
      make("bdi", {}, one.text),
      make("bdi", {}, label(one)),
      percent(one.score),
      count(one.start),
      count(one.end),
    ],
    open: noun === "span" && items.length > 0 && items.length <= FEW_ROWS,
  }).element;

const facts = ({ bundleVersion, timings }, { tokens, windows, seconds }) => {
  const rows = [
    ["bundle", bundleVersion],
    ["tokens", count(tokens)],
    ["windows", count(windows)],
    ["tokenize", duration(timings.tokenizeSeconds)],
    ["queue", duration(timings.queueSeconds)],
    ["encode", duration(timings.encodeSeconds)],
    ["heads", duration(timings.headsSeconds)],
    ["round trip", duration(seconds)],
  ];
  const pairs = rows.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value)),
  );
  return make("dl", { class: "facts", "aria-label": "Figures of this request" }, ...pairs);
};

/** One sentence on an annotation, for who does not see it. */
export const summary = ({ annotations: [{ results }] }) => {
  const { classifications, taggings, spans } = sorted(results);
  const said = [
    ...classifications.map(({ task, classification: { label } }) => `${task} ${label}`),
    ...spans.map(({ task, items }) => `${task} ${counted(items.length, "span")}`),
    ...taggings.map(({ task, items }) => `${task} ${counted(items.length, "word")}`),
  ];
  return `Annotated: ${said.join(", ")}.`;
};
