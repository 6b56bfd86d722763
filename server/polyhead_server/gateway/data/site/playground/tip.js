// What is known about a word, beside it. Screen readers are told by the word itself.

import { make } from "./elements.js";

const GAP = 6;

export class Tip {
  #target = null;

  /** @param scroller What the words scroll in. */
  constructor(scroller) {
    this.scroller = scroller;
    this.element = make("div", { class: "tip", "aria-hidden": "true", hidden: true });
    scroller.addEventListener("scroll", () => this.#place());
    this.escape = (event) => event.key === "Escape" && this.hide();
  }

  show(target, title, notes) {
    this.#target = target;
    const rows = notes.map(([task, label, score]) =>
      make("div", {}, `${task} `, make("b", {}, make("bdi", {}, label)), ` ${score}`),
    );
    this.element.replaceChildren(make("bdi", { class: "tip-word" }, title), ...rows);
    this.element.hidden = false;
    document.addEventListener("keydown", this.escape);
    this.#place();
  }

  hide() {
    this.#target = null;
    this.element.hidden = true;
    document.removeEventListener("keydown", this.escape);
  }

  #place() {
    if (!this.#target) return;
    const [word] = this.#target.getClientRects();
    const frame = this.element.offsetParent?.getBoundingClientRect();
    if (!word || !frame) return;
    const most = frame.width - this.element.offsetWidth;
    this.element.style.left = `${Math.max(0, Math.min(word.left - frame.left, most))}px`;
    this.element.style.top = `${word.bottom - frame.top + GAP}px`;
  }
}
