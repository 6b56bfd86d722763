// Elements and numbers. Whatever comes from a text or a server goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
};

/** An element with attributes and children; null children and attributes are left out. */
export const make = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const makeSvg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

export const makeButton = (text, onClick, attributes = {}) => {
  const button = make("button", { type: "button", ...attributes }, text);
  button.addEventListener("click", onClick);
  return button;
};

export const byId = (id) => document.getElementById(id);

const PERCENT = new Intl.NumberFormat("en", {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const COUNT = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const percent = (share) => PERCENT.format(share);
export const count = (number) => COUNT.format(number);
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
/** Three digits. */
export const rounded = (number) => SHORT.format(number);
export const duration = (seconds) =>
  seconds < 1 ? `${rounded(seconds * 1000)} ms` : `${rounded(seconds)} s`;
