// The page: its fields, and what happens when they change.

import { Api, Refusal } from "./api.js";
import { byId, count, duration, make, makeButton } from "./elements.js";
import { explained } from "./errors.js";
import { EXAMPLES } from "./examples.js";
import { LiveView } from "./live.js";
import { RequestView } from "./request_view.js";
import { Results, summary } from "./results.js";

const CALM_MILLISECONDS = 200;
const KINDS = {
  HEAD_KIND_CLASSIFICATION: "one label",
  HEAD_KIND_TAGGING: "a tag for each word",
  HEAD_KIND_SPANS: "marked spans",
};

const api = new Api(new URL(".", location.href).href);
const results = new Results(byId("results"));
const request = new RequestView(byId("request"), () => ({ api, text: given(), tasks: picked() }));
const live = new LiveView(byId("live"), api);
const text = byId("text");

let bundle = { tasks: [], limits: {} };
let running = new AbortController();

// A lone half of a surrogate pair is no text; the replacement has the same length.
const given = () => text.value.toWellFormed();
const picked = () => {
  const boxes = new Map(Array.from(document.querySelectorAll("#tasks input"), (box) => [box.value, box]));
  return bundle.tasks.filter(({ name }) => boxes.get(name)?.checked);
};

const loadTasks = async () => {
  try {
    bundle = await api.tasks();
  } catch (error) {
    fail(error);
    byId("tasks").replaceChildren(make("legend", {}, "Tasks"), makeButton("Load the tasks", loadTasks));
    return;
  }
  byId("error").replaceChildren();
  byId("bundle").textContent = `${bundle.bundleName} ${bundle.bundleVersion}`;
  byId("tasks").replaceChildren(make("legend", {}, "Tasks"), ...bundle.tasks.map(taskBox));
  changed();
};

const taskBox = ({ name, kind, labels }) => {
  const box = make("input", { type: "checkbox", value: name, checked: true });
  box.addEventListener("change", changed);
  const about = make("span", { class: "muted" }, `${KINDS[kind] ?? kind}, ${labels.length} labels`);
  return make("label", { class: "task" }, box, make("b", {}, name), " ", about);
};

/** Text or tasks are others now. */
const changed = () => {
  const value = given();
  const length = value.length - (value.match(/[\ud800-\udbff]/g)?.length ?? 0);
  const most = bundle.limits.maxTextChars;
  byId("count").textContent = `${count(length)}${most ? ` of ${count(most)}` : ""} characters`;
  clearTimeout(changed.timer);
  changed.timer = setTimeout(() => request.write(), CALM_MILLISECONDS);
};

const fail = (error) => {
  byId("error").replaceChildren(...explained(error));
  if (error instanceof Refusal && error.status === 401) byId("access").open = true;
  const fields = error.violations ?? [];
  text.setAttribute("aria-invalid", fields.some(({ field }) => field.startsWith("documents")));
};

const annotate = async () => {
  running.abort();
  const mine = (running = new AbortController());
  byId("error").replaceChildren();
  byId("status").textContent = "Annotating …";
  text.removeAttribute("aria-invalid");
  try {
    await answered(mine);
  } catch (error) {
    if (mine !== running) return;
    byId("status").textContent = "";
    fail(error);
  }
};

const answered = async (mine) => {
  const sent = given();
  const began = performance.now();
  const answer = await api.annotate(sent, picked().map(({ name }) => name), mine.signal);
  const seconds = (performance.now() - began) / 1000;
  if (mine !== running) return;
  const labels = new Map(bundle.tasks.map((task) => [task.name, task.labels]));
  await results.show({ text: sent, answer, labels, seconds });
  if (mine === running) byId("status").textContent = `${summary(answer)} ${duration(seconds)}`;
};

const useCredential = () => {
  api.use(byId("credential-kind").value, byId("credential").value.trim());
  changed();
  live.start();
  if (!bundle.tasks.length) loadTasks();
};

for (const [name, write] of Object.entries(EXAMPLES))
  byId("examples").append(
    makeButton(name, () => {
      text.value = write();
      changed();
      annotate();
    }),
  );
text.value = Object.values(EXAMPLES)[0]();
text.addEventListener("input", changed);
byId("annotate").addEventListener("click", annotate);
byId("credential").addEventListener("change", useCredential);
byId("credential-kind").addEventListener("change", useCredential);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  annotate();
});
if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("keys").firstElementChild.textContent = "⌘";
changed();
loadTasks();
live.start();
