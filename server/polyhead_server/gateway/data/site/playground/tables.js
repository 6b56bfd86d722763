// Tables: scores with bars, and long lists of words or spans, page by page.

import { count, make, makeButton, percent } from "./elements.js";

const PAGE_ROWS = 100;
const MOST_SCORES = 8;

const bar = (score) => {
  const full = make("div", {});
  full.style.inlineSize = `${score * 100}%`;
  return make("div", { class: "bar", "aria-hidden": "true" }, full);
};

const scoreRow = (best) => ({ label, score }) =>
  make(
    "tr",
    { class: label === best ? "best" : null },
    make("th", { scope: "row" }, make("bdi", {}, label)),
    make("td", { class: "bar-cell" }, bar(score)),
    make("td", { class: "number" }, percent(score)),
  );

const scoreTable = (name, best, scores) => {
  const caption = make("caption", { class: "unseen" }, name);
  return make("table", { class: "scores" }, caption, make("tbody", {}, ...scores.map(scoreRow(best))));
};

/** All scores of a classification; of many labels the best come first, and the rest folded. */
export const scores = (task, { label, scores: all }) => {
  if (all.length <= MOST_SCORES) return [scoreTable(`Scores of ${task}`, label, all)];
  const sorted = all.toSorted((one, other) => other.score - one.score);
  const rest = scoreTable(`Further scores of ${task}`, label, sorted.slice(MOST_SCORES));
  return [
    scoreTable(`Best scores of ${task}`, label, sorted.slice(0, MOST_SCORES)),
    make("details", {}, make("summary", {}, `${all.length - MOST_SCORES} more labels`), rest),
  ];
};

/** A folded list whose rows are made when they are looked at. */
export class PagedTable {
  #first = 0;

  /**
   * @param summary What the list is.
   * @param columns The columns' names.
   * @param rows Anything.
   * @param cells Makes the cells of a row: elements and strings, as many as columns.
   */
  constructor({ summary, columns, rows, cells, open = false }) {
    Object.assign(this, { rows, cells });
    this.body = make("tbody");
    const heads = columns.map((column) => make("th", { scope: "col" }, column));
    const caption = make("caption", { class: "unseen" }, summary);
    const table = make("table", { class: "rows" }, caption, make("thead", {}, make("tr", {}, ...heads)), this.body);
    this.element = make("details", { open }, make("summary", {}, summary), table);
    if (rows.length > PAGE_ROWS) this.element.append(this.#pager());
    this.element.addEventListener("toggle", () => this.#write());
    if (open) this.#write();
  }

  #pager() {
    this.place = make("span", { role: "status" });
    this.previous = makeButton("Previous", () => this.#turn(-PAGE_ROWS));
    this.next = makeButton("Next", () => this.#turn(PAGE_ROWS));
    return make("div", { class: "row" }, this.previous, this.next, this.place);
  }

  #turn(step) {
    const first = this.#first + step;
    if (first < 0 || first >= this.rows.length) return;
    this.#first = first;
    this.#write();
  }

  #write() {
    const last = Math.min(this.#first + PAGE_ROWS, this.rows.length);
    const shown = this.element.open ? this.rows.slice(this.#first, last) : [];
    this.body.replaceChildren(
      ...shown.map((row) => make("tr", {}, ...this.cells(row).map((cell) => make("td", {}, cell)))),
    );
    if (!this.place) return;
    this.place.textContent = `${count(this.#first + 1)} to ${count(last)} of ${count(this.rows.length)}`;
    this.previous.setAttribute("aria-disabled", this.#first === 0);
    this.next.setAttribute("aria-disabled", last === this.rows.length);
  }
}
