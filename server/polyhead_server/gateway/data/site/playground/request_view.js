// The request in one of several languages, to copy.

import { byId, make, makeButton } from "./elements.js";
import { LANGUAGES } from "./snippets.js";

const SAID_SECONDS = 4;

export class RequestView {
  #language = Object.keys(LANGUAGES)[0];

  /** @param current Gives the request as it is now: { api, text, tasks }. */
  constructor(parent, current) {
    this.current = current;
    this.code = make("pre", { id: "code", dir: "ltr", tabindex: "0", role: "region" });
    this.said = make("span", { role: "status", class: "muted" });
    const choices = make("div", { class: "choices", role: "radiogroup", "aria-label": "Language" });
    choices.append(...Object.keys(LANGUAGES).map((language) => this.#choice(language)));
    const copy = makeButton("Copy", () => this.#copy(), { id: "copy" });
    parent.append(make("div", { class: "row" }, choices, copy, this.said), this.code);
  }

  #choice(language) {
    const input = make("input", { type: "radio", name: "language", value: language });
    input.checked = language === this.#language;
    input.addEventListener("change", () => {
      this.#language = language;
      this.write();
    });
    return make("label", {}, input, language);
  }

  write() {
    this.code.setAttribute("aria-label", `The request as ${this.#language}`);
    this.code.textContent = LANGUAGES[this.#language](this.current());
  }

  async #copy() {
    this.said.textContent = "";
    this.write();
    const done = await copied(this.code);
    this.said.textContent = done ? "Copied." : "Selected: copy it with your keyboard.";
    setTimeout(() => (this.said.textContent = ""), SAID_SECONDS * 1000);
  }
}

/** Pages that did not come over TLS have no clipboard; there it is selected, and copied if possible. */
const copied = async (element) => {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(byId(element.id));
    return document.execCommand("copy");
  }
};
