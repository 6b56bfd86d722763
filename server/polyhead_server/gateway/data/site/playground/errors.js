// What went wrong, with the field that is to blame.

import { Refusal } from "./api.js";
import { make } from "./elements.js";

/** The error as elements. */
export const explained = (error) =>
  error instanceof Refusal
    ? refused(error)
    : [make("p", {}, make("b", {}, "No answer."), ` ${error.message}`)];

const refused = (error) => {
  const fields = error.violations.map(({ field, description }) =>
    make("li", {}, make("code", {}, field), ` ${description}`),
  );
  const more = [
    `HTTP ${error.status}`,
    error.retryDelay && `try again after ${error.retryDelay}`,
    error.requestId && `request ${error.requestId}`,
  ];
  return [
    make("p", {}, make("b", {}, error.code), ` ${error.message}`),
    fields.length ? make("ul", {}, ...fields) : null,
    make("p", { class: "muted" }, more.filter(Boolean).join(" · ")),
  ].filter(Boolean);
};
