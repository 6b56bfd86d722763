// Calls to the gateway that served this page.

const CODES =
  "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS " +
  "PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED " +
  "INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED";
const NAMES = CODES.split(" ");

/** The unit in which JavaScript counts. */
export const OFFSET_UNIT = "OFFSET_UNIT_UTF16";

/** An answer that is a google.rpc.Status. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body.message || `HTTP status ${status}`);
    this.status = status;
    this.code = NAMES[body.code] ?? "UNKNOWN";
    this.details = Array.isArray(body.details) ? body.details : [];
  }

  /** Fields that are wrong, each with a description. */
  get violations() {
    return this.detail("BadRequest")?.fieldViolations ?? [];
  }

  get requestId() {
    return this.detail("RequestInfo")?.requestId;
  }

  /** When to try again, such as "0.5s". */
  get retryDelay() {
    return this.detail("RetryInfo")?.retryDelay;
  }

  detail(name) {
    return this.details.find((one) => String(one["@type"]).endsWith(`google.rpc.${name}`));
  }
}

const parsed = (text) => {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
};

export class Api {
  /** The key or token stays in this field, and nowhere else. */
  #credential = { kind: "key", secret: "" };

  constructor(base) {
    this.base = base;
  }

  use(kind, secret) {
    this.#credential = { kind, secret };
  }

  /** "key", "token", or "" where there is none. */
  get credentialKind() {
    return this.#credential.secret && this.#credential.kind;
  }

  url(path) {
    return new URL(path, this.base).href;
  }

  tasks() {
    return this.#json("v1/tasks");
  }

  annotate(text, tasks, signal) {
    const request = { documents: [{ text }], tasks, offsetUnit: OFFSET_UNIT };
    return this.#json("v1/annotate", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
      signal,
    });
  }

  /** The server's Prometheus metrics; "" where the gateway shows none. */
  metrics() {
    return this.#text("playground/metrics");
  }

  async #json(path, options) {
    return JSON.parse(await this.#text(path, options));
  }

  async #text(path, options = {}) {
    const headers = { ...options.headers, ...this.#authorization() };
    const response = await fetch(this.url(path), { ...options, headers });
    const text = await response.text();
    if (!response.ok) throw new Refusal(response.status, parsed(text));
    return text;
  }

  #authorization() {
    const { kind, secret } = this.#credential;
    if (!secret) return {};
    return kind === "key" ? { "x-api-key": secret } : { authorization: `Bearer ${secret}` };
  }
}
