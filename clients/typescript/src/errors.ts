/**
 * The error tree, and the table from gRPC status codes to its classes.
 *
 * PolyheadError
 * ├── InvalidArgumentError     INVALID_ARGUMENT, OUT_OF_RANGE   the request; do not repeat it
 * ├── UnauthenticatedError     UNAUTHENTICATED                  no token or key, or a wrong one
 * ├── PermissionDeniedError    PERMISSION_DENIED                the token does not allow this
 * ├── DeadlineExceededError    DEADLINE_EXCEEDED                out of time, retries included
 * ├── CancelledError           CANCELLED                        the call was given up
 * ├── UnavailableError         UNAVAILABLE                      no server could be reached
 * ├── OverloadedError          RESOURCE_EXHAUSTED               the server has no room now
 * ├── UnimplementedError       UNIMPLEMENTED                    a server without the method
 * ├── InternalError            INTERNAL, UNKNOWN, DATA_LOSS     a fault in the server
 * └── UnexpectedStatusError    every other code                 none that the service is to send
 */

/** The name of a gRPC status code. */
export type StatusCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** What is wrong with one field of a request. */
export interface Violation {
  /** The field's path, such as `documents[2].text`. */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
}

/** What a failed call says about itself. */
export interface ErrorFacts {
  readonly code: StatusCode;
  readonly message: string;
  /** The id under which the server logged the request; empty where there was none. */
  readonly requestId: string;
  /** What is wrong with each field. */
  readonly violations?: readonly Violation[];
  /** Milliseconds to wait at least before asking again, where the server said so. */
  readonly retryAfterMs?: number | undefined;
}

/** A call, or one item of a stream, that gave no answer. */
export class PolyheadError extends Error {
  /** The name of the gRPC status code. */
  readonly code: StatusCode;
  /** The id under which the server logged the request; empty where there was none. */
  readonly requestId: string;

  constructor(facts: ErrorFacts, cause?: unknown) {
    super(facts.message || facts.code, { cause });
    this.name = new.target.name;
    this.code = facts.code;
    this.requestId = facts.requestId;
  }
}

/** The request is wrong, and would be wrong again. */
export class InvalidArgumentError extends PolyheadError {
  /** What is wrong with each field. */
  readonly violations: readonly Violation[];

  constructor(facts: ErrorFacts, cause?: unknown) {
    super(facts, cause);
    this.violations = facts.violations ?? [];
  }
}

/** The server has no room for the request now. */
export class OverloadedError extends PolyheadError {
  /**
   * Milliseconds to wait at least before asking again; undefined where the server did not say, and
   * asking again is then not known to help.
   */
  readonly retryAfterMs: number | undefined;

  constructor(facts: ErrorFacts, cause?: unknown) {
    super(facts, cause);
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** No server could be reached, or it went away during the call. */
export class UnavailableError extends PolyheadError {}

/** No answer came in time, retries included. */
export class DeadlineExceededError extends PolyheadError {}

/** The call carried no token or key, or one that is not accepted. */
export class UnauthenticatedError extends PolyheadError {}

/** The token does not allow this call. */
export class PermissionDeniedError extends PolyheadError {}

/** The call was cancelled before its answer came: by its signal, a proxy or the server. */
export class CancelledError extends PolyheadError {}

/** The server does not know the method: not a polyhead server, or an older one. */
export class UnimplementedError extends PolyheadError {}

/** The server failed, or sent an answer that this client cannot read. */
export class InternalError extends PolyheadError {}

/** The call ended with a status that the service is not known to send. */
export class UnexpectedStatusError extends PolyheadError {}

type ErrorClass = new (facts: ErrorFacts, cause?: unknown) => PolyheadError;

const CLASS_OF_CODE: Readonly<Record<StatusCode, ErrorClass>> = {
  CANCELLED: CancelledError,
  UNKNOWN: InternalError,
  INVALID_ARGUMENT: InvalidArgumentError,
  DEADLINE_EXCEEDED: DeadlineExceededError,
  NOT_FOUND: UnexpectedStatusError,
  ALREADY_EXISTS: UnexpectedStatusError,
  PERMISSION_DENIED: PermissionDeniedError,
  RESOURCE_EXHAUSTED: OverloadedError,
  FAILED_PRECONDITION: UnexpectedStatusError,
  ABORTED: UnexpectedStatusError,
  OUT_OF_RANGE: InvalidArgumentError,
  UNIMPLEMENTED: UnimplementedError,
  INTERNAL: InternalError,
  UNAVAILABLE: UnavailableError,
  DATA_LOSS: InternalError,
  UNAUTHENTICATED: UnauthenticatedError,
};

/** Make the error of the class that belongs to its code. */
export function errorOf(facts: ErrorFacts, cause?: unknown): PolyheadError {
  return new CLASS_OF_CODE[facts.code](facts, cause);
}
