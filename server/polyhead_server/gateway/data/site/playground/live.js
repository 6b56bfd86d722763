// Throughput, latency and queue of the server, read every few seconds while the page is seen.

import { Refusal } from "./api.js";
import { duration, make, makeButton, makeSvg, rounded } from "./elements.js";
import { between, reading } from "./prometheus.js";

const EVERY_SECONDS = 2;
const FIRST_SECONDS = 0.5;
const KEPT = 60;
/** Readings back from which a figure counts: short enough to be live, long enough to be calm. */
const SPAN = 3;
/** Of all servers that a gateway may ask in turn. */
const MOST_READINGS = 64;
const [WIDTH, HEIGHT] = [120, 30];

const SERIES = [
  ["requests", "Requests/s", rounded],
  ["texts", "Texts/s", rounded],
  ["tokens", "Tokens/s", rounded],
  ["half", "Latency, p50", duration],
  ["most", "Latency, p95", duration],
  ["waiting", "Queue, tokens", rounded],
];
const OFF =
  "This gateway shows none. Start it with --live-metrics HOST:PORT, the metrics port of a server; " +
  "make gateway does.";

export class LiveView {
  #readings = [];
  #tiles = new Map();
  #timer = 0;
  #paused = false;

  constructor(parent, api) {
    this.api = api;
    this.said = make("p", { class: "muted" }, "Reading …");
    this.grid = make("dl", { class: "tiles", hidden: true }, ...SERIES.map((one) => this.#tile(...one)));
    this.button = makeButton("Pause", () => this.#pause(), { hidden: true });
    parent.append(this.said, this.grid, this.button);
    document.addEventListener("visibilitychange", () => this.start());
  }

  /** Reads now, and then again and again. */
  start() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#paused) return;
    const seconds = this.#readings.length ? EVERY_SECONDS : FIRST_SECONDS;
    this.#timer = setTimeout(() => this.start(), seconds * 1000);
    this.#read().catch((error) => this.#fail(error));
  }

  async #read() {
    const text = await this.api.metrics();
    if (!text) return this.#off();
    const now = reading(text, performance.now() / 1000);
    const own = [...this.#readings.filter((one) => one.server === now.server), now].slice(-SPAN - 1);
    const others = this.#readings.filter((one) => one.server !== now.server);
    const figures = own.length > 1 ? between(own[0], now) : null;
    if (figures) this.#write(figures);
    const kept = figures ? own : [now];
    this.#readings = [...others, ...kept].slice(-MOST_READINGS);
  }

  #off() {
    clearTimeout(this.#timer);
    this.said.textContent = OFF;
  }

  #fail(error) {
    if (error instanceof Refusal && error.status === 401) {
      clearTimeout(this.#timer);
      this.said.textContent = "Needs a key or token.";
    } else {
      this.said.textContent = "The metrics do not answer; trying on.";
    }
    this.#readings = [];
  }

  #write(figures) {
    this.said.textContent = `The last ${KEPT * EVERY_SECONDS} seconds, of one server at a time.`;
    this.grid.hidden = this.button.hidden = false;
    for (const [name, tile] of this.#tiles) tile.add(figures[name]);
  }

  #pause() {
    this.#paused = !this.#paused;
    this.button.textContent = this.#paused ? "Go on" : "Pause";
    this.#readings = [];
    this.start();
  }

  #tile(name, title, shown) {
    const tile = new Tile(title, shown);
    this.#tiles.set(name, tile);
    return tile.element;
  }
}

class Tile {
  #values = [];

  constructor(title, shown) {
    this.shown = shown;
    this.now = make("span", { class: "now" }, "–");
    this.peak = make("span", { class: "muted" });
    this.line = makeSvg("path", { "vector-effect": "non-scaling-stroke" });
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
    const chart = makeSvg("svg", box, this.line);
    const figures = make("div", { class: "figures" }, this.now, " ", this.peak);
    this.element = make("div", {}, make("dt", {}, title), make("dd", {}, figures, chart));
  }

  add(value) {
    this.#values.push(value);
    this.#values.splice(0, this.#values.length - KEPT);
    const highest = Math.max(...this.#values);
    this.now.textContent = value === null ? "–" : this.shown(value);
    this.peak.textContent = highest > 0 ? `peak ${this.shown(highest)}` : "";
    this.line.setAttribute("d", path(this.#values, highest));
  }
}

/** A line that ends at the right edge, with gaps where there is no value. */
const path = (values, highest) => {
  const step = WIDTH / (KEPT - 1);
  const left = WIDTH - (values.length - 1) * step;
  const height = (value) => HEIGHT - 2 - (highest > 0 ? (value / highest) * (HEIGHT - 4) : 0);
  let pen = "M";
  const parts = values.map((value, i) => {
    const part = value === null ? "" : `${pen}${(left + i * step).toFixed(1)} ${height(value).toFixed(1)}`;
    pen = value === null ? "M" : "L";
    return part;
  });
  return parts.join("");
};
