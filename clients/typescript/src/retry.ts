// Which failures are tried again, when, and how often in all.

import { OverloadedError, UnavailableError, errorOf, type PolyheadError } from "./errors.js";
import type { RetryPolicy } from "./options.js";
import { errorOfFailure } from "./status.js";

const CAPACITY = 10;
const EARNED_BY_CALL = 0.1;
const COST_OF_RETRY = 1;

/** What bounds one call, retries included. */
export interface Bounds {
  /** Milliseconds from now. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly requestId: string;
}

/**
 * Retries of one client.
 *
 * Each call earns a tenth of a token and each retry costs one; the budget starts full, at 10. So many
 * failures do not become many calls.
 */
export class Retries {
  private tokens = CAPACITY;

  constructor(private readonly policy: RetryPolicy) {}

  /** Run `attempt`, given the milliseconds that are left, until it succeeds or must fail. */
  async run<T>(bounds: Bounds, attempt: (leftMs: number) => Promise<T>): Promise<T> {
    this.tokens = Math.min(CAPACITY, this.tokens + EARNED_BY_CALL);
    const end = performance.now() + bounds.timeoutMs;
    for (let made = 1; ; made++) {
      try {
        return await attempt(leftUntil(end, bounds));
      } catch (failure) {
        const error = errorOfFailure(failure, bounds.requestId);
        const wait = this.delayMs(error, made, end - performance.now());
        if (wait === undefined) throw error;
        await pause(wait, bounds);
      }
    }
  }

  /** Milliseconds to wait before trying again, or undefined to give up. */
  private delayMs(error: PolyheadError, made: number, leftMs: number): number | undefined {
    if (!isTransient(error) || made >= this.policy.maxAttempts) return undefined;
    const ceiling = Math.min(this.policy.maxBackoffMs, this.policy.initialBackoffMs * 2 ** (made - 1));
    const asked = error instanceof OverloadedError ? (error.retryAfterMs ?? 0) : 0;
    // Half of it is certain: all attempts together have to outlast a server that is just going down.
    const wait = asked + ceiling * (0.5 + Math.random() / 2);
    if (wait >= leftMs || this.tokens < COST_OF_RETRY) return undefined;
    this.tokens -= COST_OF_RETRY;
    return wait;
  }
}

/** Whether sending the same again can help. Safe at any time: annotating changes nothing. */
function isTransient(error: PolyheadError): boolean {
  if (error instanceof OverloadedError) return error.retryAfterMs !== undefined;
  return error instanceof UnavailableError;
}

function leftUntil(end: number, { requestId }: Bounds): number {
  const left = Math.ceil(end - performance.now());
  if (left > 0) return left;
  throw errorOf({ code: "DEADLINE_EXCEEDED", message: "the time for the call is over", requestId });
}

function pause(waitMs: number, { signal, requestId }: Bounds): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(cancelled(requestId));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, waitMs);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

function cancelled(requestId: string): PolyheadError {
  return errorOf({ code: "CANCELLED", message: "the call was given up before a retry", requestId });
}
