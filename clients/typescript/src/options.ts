// What a caller can set, and its checks.

/** When and how often a call is sent again. */
export interface RetryPolicy {
  /** Attempts of one call, the first included; 1 turns retries off. Default: 6. */
  readonly maxAttempts: number;
  /** Milliseconds, at most, before the first retry; doubled for each further one. Default: 200. */
  readonly initialBackoffMs: number;
  /** Milliseconds, at most, before any retry, beyond what the server asks for. Default: 5,000. */
  readonly maxBackoffMs: number;
}

/** What every client is told. */
export interface ClientOptions {
  /** Where the gateway is, such as `https://polyhead.example`. */
  readonly baseUrl: string;
  /** Bearer token, or a function that gives the one of now; asked before each attempt. */
  readonly token?: string | (() => string | Promise<string>);
  /** API key for the gateway. */
  readonly apiKey?: string;
  /** Send token and key without TLS too, where anybody on the way can read them. */
  readonly allowInsecureCredentials?: boolean;
  /** Milliseconds that a call may take, retries included, where the call does not say. Default: 30,000. */
  readonly timeoutMs?: number;
  /** When to try again. */
  readonly retry?: Partial<RetryPolicy>;
  /** Headers for every call. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What any call may be told. */
export interface CallOptions {
  /** Milliseconds that the call may take, retries included. */
  readonly timeoutMs?: number;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
  /** A name for the request in the server's log: at most 128 visible ASCII characters. */
  readonly requestId?: string;
}

/** The unit of offsets; `utf16` counts as JavaScript does: `text.slice(start, end)`. */
export type OffsetUnitName = "code_point" | "utf8_byte" | "utf16";

/** How urgent a call is: bulk work gives way to interactive work, and has a share kept for it. */
export type PriorityName = "interactive" | "bulk";

/** What a call that annotates may be told. */
export interface AnnotateOptions extends CallOptions {
  /** Names of tasks, as `listTasks` tells them. Default: all. */
  readonly tasks?: readonly string[];
  /** Default: `utf16`. */
  readonly offsetUnit?: OffsetUnitName;
  /** How urgent it is. Default: a single call is interactive, a stream bulk. */
  readonly priority?: PriorityName;
  /** The bundle to be answered by, of those that the server has; NOT_FOUND for another. */
  readonly bundleVersion?: string;
}

/** A document: text, or words that were split before. */
export type DocumentInput = string | { readonly words: readonly string[] };

export const DEFAULT_TIMEOUT_MS = 30_000;
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const DEFAULT_RETRY: RetryPolicy = { maxAttempts: 6, initialBackoffMs: 200, maxBackoffMs: 5_000 };

/** Give the timeout back, or throw a RangeError: timers know no longer one. */
export function checkedTimeoutMs(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS) return timeoutMs;
  throw new RangeError(`timeoutMs is ${timeoutMs}: not above 0 and at most ${LONGEST_TIMEOUT_MS}`);
}

/** Fill the defaults in, or throw a RangeError. */
export function checkedRetry(given: Partial<RetryPolicy> = {}): RetryPolicy {
  const policy = { ...DEFAULT_RETRY, ...given };
  if (!Number.isInteger(policy.maxAttempts) || policy.maxAttempts < 1) {
    throw new RangeError("retry.maxAttempts is a whole number, at least 1");
  }
  if (!(policy.initialBackoffMs > 0 && policy.initialBackoffMs <= policy.maxBackoffMs)) {
    throw new RangeError("0 < retry.initialBackoffMs <= retry.maxBackoffMs");
  }
  return policy;
}

/** Refuse what cannot work, and credentials that anybody on the way could read. */
export function checkConnection(options: ClientOptions): void {
  const { protocol } = new URL(options.baseUrl);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TypeError(`baseUrl begins with ${protocol}, not with http: or https:`);
  }
  const secret = options.token !== undefined || options.apiKey !== undefined;
  if (secret && protocol === "http:" && !options.allowInsecureCredentials) {
    throw new TypeError("credentials need https, or allowInsecureCredentials: true");
  }
}
