// The text as it was sent, with marks in place; each word tells its tags when pointed at or focused.

import { directionSign } from "./directions.js";
import { make } from "./elements.js";
import { Tip } from "./tip.js";

const COLOURS = 8;
const SLICE_MILLISECONDS = 12;
const LONG_CHARACTERS = 10_000;

const pause = () => new Promise((resolve) => setTimeout(resolve));

export class TextView {
  #nextMark = 0;
  #nextWord = 0;
  #elements = [];
  #places = new WeakMap();
  #current = 0;

  /**
   * @param text The text.
   * @param marks Spans to mark, in text order: start, end, label.
   * @param labels The labels of those spans; each has a colour by its place.
   * @param words What can be pointed at, in text order: start and end.
   * @param notes Gives what is known about a word: [task, label, score] each.
   */
  constructor({ text, marks, labels, words, notes }) {
    Object.assign(this, { text, marks, labels, words, notes });
    const kind = text.length > LONG_CHARACTERS ? "text long" : "text";
    this.body = make("div", { class: kind, role: "group", "aria-label": "Annotated text" });
    this.tip = new Tip(this.body);
    this.element = make("div", { class: "text-frame" }, this.body, this.tip.element);
    this.#listen();
  }

  /** Builds line by line, and lets the page breathe between; ends early where `left` says so. */
  async build(left) {
    let began = performance.now();
    for (let from = 0; from < this.text.length && !left(); ) {
      const to = this.#lineEnd(from);
      this.body.append(this.#line(from, to));
      from = to;
      if (performance.now() - began > SLICE_MILLISECONDS) {
        await pause();
        began = performance.now();
      }
    }
    if (this.#elements.length) this.#enter(0);
    else this.body.tabIndex = 0;
  }

  /** The end of a line; a mark that goes on behind it keeps lines together. */
  #lineEnd(from) {
    let end = this.#behindLine(from);
    for (let i = this.#nextMark; this.marks[i]?.start < end; i++)
      if (this.marks[i].end > end) end = this.#behindLine(this.marks[i].end - 1);
    return end;
  }

  #behindLine(from) {
    return this.text.indexOf("\n", from) + 1 || this.text.length;
  }

  #line(from, to) {
    const line = make("div", { class: "line", dir: "auto" });
    let at = from;
    while (this.marks[this.#nextMark]?.start < to) {
      const mark = this.marks[this.#nextMark++];
      this.#append(line, at, mark.start);
      line.append(this.#append(this.#mark(mark), mark.start, mark.end));
      at = mark.end;
    }
    return this.#append(line, at, to);
  }

  #mark(span) {
    const colour = Math.max(0, this.labels.indexOf(span.label)) % COLOURS;
    const behind = directionSign(this.#surface(span));
    return make("mark", { class: `colour-${colour}`, "data-label": span.label, "data-behind": behind });
  }

  /** The text between two offsets, words as elements. */
  #append(parent, from, to) {
    let at = from;
    for (; this.words[this.#nextWord]?.end <= to; this.#nextWord++) {
      const word = this.words[this.#nextWord];
      if (word.start < at) continue; // begins before a mark and ends in it
      if (word.start > at) parent.append(this.text.slice(at, word.start));
      parent.append(this.#word(word));
      at = word.end;
    }
    if (to > at) parent.append(this.text.slice(at, to));
    return parent;
  }

  #word(word) {
    const element = make("span", { class: "word", tabindex: "-1" }, this.#surface(word));
    this.#places.set(element, this.#elements.length);
    this.#elements.push({ element, word });
    return element;
  }

  #surface({ start, end }) {
    return this.text.slice(start, end);
  }

  #listen() {
    const on = (type, act) => this.body.addEventListener(type, act);
    const place = (event) => this.#places.get(event.target.closest?.(".word"));
    on("pointerover", (event) => this.#show(place(event) ?? this.#focused()));
    on("pointerleave", () => this.#show(this.#focused()));
    on("focusin", (event) => this.#focus(place(event)));
    on("focusout", () => this.tip.hide());
    on("click", (event) => this.#go(place(event)));
    on("keydown", (event) => this.#key(event));
  }

  #focused() {
    const { element } = this.#elements[this.#current] ?? {};
    return element && element === document.activeElement ? this.#current : undefined;
  }

  #focus(place) {
    if (place in this.#elements) this.#enter(place);
    this.#show(place);
  }

  #show(place) {
    const found = this.#elements[place];
    if (found) this.tip.show(found.element, this.#surface(found.word), this.notes(found.word));
    else this.tip.hide();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = this.#target(event.key);
    if (target === undefined) return;
    event.preventDefault();
    this.#go(target);
  }

  /** Where a key leads: to the sides by words, up and down by marks. */
  #target(key) {
    const here = this.#current;
    const step = this.#elements[here]?.element.matches(":dir(rtl)") ? -1 : 1;
    const last = this.#elements.length - 1;
    switch (key) {
      case "ArrowRight":
        return Math.min(last, Math.max(0, here + step));
      case "ArrowLeft":
        return Math.min(last, Math.max(0, here - step));
      case "ArrowDown":
        return this.#nextMarked(1);
      case "ArrowUp":
        return this.#nextMarked(-1);
      case "Home":
        return 0;
      case "End":
        return last;
    }
  }

  /** The first word of the next mark in a direction; the same word where there is none. */
  #nextMarked(step) {
    const mark = (place) => this.#elements[place]?.element.closest("mark") ?? null;
    let place = this.#current;
    while (mark(place) && mark(place) === mark(place + step)) place += step;
    for (place += step; place in this.#elements && !mark(place); ) place += step;
    if (!(place in this.#elements)) return this.#current;
    while (mark(place - 1) === mark(place)) place -= 1;
    return place;
  }

  #go(place) {
    this.#elements[place]?.element.focus();
  }

  /** The one word that the tab key reaches, and that says what is known about it. */
  #enter(place) {
    const old = this.#elements[this.#current].element;
    for (const name of ["role", "aria-label"]) old.removeAttribute(name);
    old.tabIndex = -1;
    this.#current = place;
    const { element, word } = this.#elements[place];
    const said = this.notes(word).map(([task, label, score]) => `${task} ${label} ${score}`);
    element.tabIndex = 0;
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", `${this.#surface(word)}: ${said.join(", ")}`);
  }
}
