"use strict";
// Renders /openapi.json. Everything from the document goes in as text, never as markup.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
};

const paragraphs = (text) => {
  const parts = [];
  for (const block of (text || "").split("\n\n")) {
    const lines = block.split("\n");
    const isList = lines.length > 0 && lines.every((line) => line.startsWith("- "));
    parts.push(
      isList
        ? make("ul", {}, ...lines.map((line) => make("li", {}, ...inline(line.slice(2)))))
        : make("p", {}, ...inline(block)),
    );
  }
  return parts;
};

const inline = (text) =>
  text.split(/(`[^`]*`)/).map((part) =>
    part.startsWith("`") && part.length > 1 ? make("code", {}, part.slice(1, -1)) : part,
  );

class Page {
  constructor(api) {
    this.api = api;
  }

  resolve(schema) {
    if (!schema.$ref) return schema;
    return schema.$ref.slice(2).split("/").reduce((at, key) => at[key], this.api);
  }

  typeName(schema) {
    if (schema.$ref) return schema.$ref.split("/").pop();
    if (schema.type === "array") return `list of ${this.typeName(schema.items)}`;
    return schema.format || schema.type || "any";
  }

  limits(schema) {
    const said = [];
    if (schema.minItems) said.push(`at least ${schema.minItems}`);
    if (schema.maxLength) said.push(`at most ${schema.maxLength} characters`);
    if (schema.type === "number" && schema.maximum !== undefined)
      said.push(`${schema.minimum} to ${schema.maximum}`);
    return said.length ? `, ${said.join(", ")}` : "";
  }

  // The fields of a message, and below each those of its own message, folded from the third level on.
  fields(schema, level, seen, must) {
    const inner = schema.type === "array" ? schema.items : schema;
    const name = inner.$ref || "";
    const whole = this.resolve(inner);
    if (whole.enum)
      return make("div", {}, ...(level ? paragraphs(whole.description) : []));
    if (!whole.properties || seen.includes(name)) return null;
    const needed = whole.required || [];
    const choice = (whole.oneOf || []).flatMap((one) => one.required);
    const items = Object.entries(whole.properties).map(([key, field]) => {
      const head = make(
        "p",
        {},
        make("code", {}, key),
        " ",
        make("span", { class: "type" }, this.typeName(field) + this.limits(field)),
        " ",
        needed.includes(key) ? make("span", { class: "needed" }, must) : null,
        choice.includes(key) ? make("span", { class: "needed" }, "one of these") : null,
      );
      const below = this.fields(field, level + 1, [...seen, name], must);
      const folded =
        below && level >= 1
          ? make("details", {}, make("summary", {}, this.typeName(field)), below)
          : below;
      return make("li", {}, head, ...(field.description ? paragraphs(field.description) : []), folded);
    });
    return make("ul", { class: "fields" }, ...items);
  }

  content(part) {
    return part.content ? Object.values(part.content)[0] : null;
  }

  operation(path, verb, operation) {
    const body = operation.requestBody ? this.content(operation.requestBody) : null;
    const section = make(
      "section",
      { id: operation.operationId },
      make(
        "h2",
        {},
        make("span", { class: `verb ${verb}` }, verb.toUpperCase()),
        make("span", { class: "path" }, path),
      ),
      ...paragraphs(operation.description),
      make("h3", {}, "Headers"),
      this.parameters(operation.parameters || []),
    );
    if (body)
      section.append(
        make("h3", {}, `Request: ${this.typeName(body.schema)}`),
        this.fields(body.schema, 0, [], "required") || "",
      );
    const good = this.content(operation.responses["200"]);
    section.append(
      make("h3", {}, `Answer: ${this.typeName(good.schema)}`),
      this.fields(good.schema, 0, [], "always") || "",
      make("h3", {}, "Other answers"),
      this.errors(operation.responses),
      make("h3", {}, "Try it"),
      ...this.trial(path, verb, body),
    );
    return section;
  }

  parameters(parameters) {
    const items = parameters.map((one) =>
      make("li", {}, make("p", {}, make("code", {}, one.name)), ...paragraphs(one.description)),
    );
    return make("ul", { class: "fields" }, ...items);
  }

  errors(responses) {
    const rows = Object.entries(responses)
      .filter(([code]) => code !== "200")
      .map(([code, response]) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, code),
          make("td", {}, this.resolve(response).description),
        ),
      );
    return make("table", {}, make("tbody", {}, ...rows));
  }

  trial(path, verb, body) {
    const text = body ? JSON.stringify(body.example, null, 2) : "";
    const curl = make("pre", { tabindex: "0", "aria-label": "The same with curl" });
    const input = make("textarea", { rows: "9", spellcheck: "false", "aria-label": "Request body" });
    const output = make("pre", { tabindex: "0", "aria-live": "polite", "aria-label": "Answer" });
    const button = make("button", { type: "button" }, "Send");
    const show = () => {
      const data = input.value.replaceAll("'", "'\\''").replace(/\s*\n\s*/g, " ");
      const more = body ? ` \\\n  -H 'content-type: application/json' \\\n  -d '${data}'` : "";
      curl.textContent = `curl ${location.origin}${path}${more}`;
    };
    input.value = text;
    input.addEventListener("input", show);
    output.hidden = true;
    button.addEventListener("click", () => this.send(path, verb, body && input.value, output));
    show();
    return [body ? input : "", curl, button, output];
  }

  async send(path, verb, text, output) {
    output.hidden = false;
    output.textContent = "…";
    const options = { method: verb.toUpperCase() };
    if (text) Object.assign(options, { body: text, headers: { "content-type": "application/json" } });
    try {
      const response = await fetch(path, options);
      const said = await response.text();
      output.textContent = `${response.status} ${response.statusText}\n${pretty(said)}`;
    } catch (error) {
      output.textContent = `No answer: ${error.message}`;
    }
  }
}

const pretty = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

const render = (api) => {
  const page = new Page(api);
  const main = document.getElementById("main");
  const links = [];
  main.replaceChildren(...paragraphs(api.info.description));
  const document_ = make("a", { href: "/openapi.json" }, "openapi.json");
  main.append(make("p", {}, "This page shows ", document_, `, OpenAPI ${api.openapi}.`));
  for (const [path, verbs] of Object.entries(api.paths))
    for (const [verb, operation] of Object.entries(verbs)) {
      main.append(page.operation(path, verb, operation));
      const name = make("span", { class: `verb ${verb}` }, verb.toUpperCase());
      links.push(make("li", {}, make("a", { href: `#${operation.operationId}` }, name, path)));
    }
  document.getElementById("contents").replaceChildren(make("ul", {}, ...links));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
};

fetch("/openapi.json")
  .then((response) => response.json())
  .then(render)
  .catch((error) => {
    document.getElementById("main").textContent = `openapi.json could not be read: ${error.message}`;
  });
