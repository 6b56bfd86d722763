// From a gRPC status with google.rpc details to an error of the tree.

import { Code, ConnectError } from "@connectrpc/connect";
import { PolyheadError, errorOf, type StatusCode, type Violation } from "./errors.js";
import { BadRequestSchema, RequestInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import type { Status } from "./gen/google/rpc/status_pb.js";

export const REQUEST_ID_HEADER = "x-request-id";
const RETRY_AFTER_HEADER = "retry-after";

const NAME_OF_CODE: Readonly<Record<Code, StatusCode>> = {
  [Code.Canceled]: "CANCELLED",
  [Code.Unknown]: "UNKNOWN",
  [Code.InvalidArgument]: "INVALID_ARGUMENT",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "NOT_FOUND",
  [Code.AlreadyExists]: "ALREADY_EXISTS",
  [Code.PermissionDenied]: "PERMISSION_DENIED",
  [Code.ResourceExhausted]: "RESOURCE_EXHAUSTED",
  [Code.FailedPrecondition]: "FAILED_PRECONDITION",
  [Code.Aborted]: "ABORTED",
  [Code.OutOfRange]: "OUT_OF_RANGE",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.DataLoss]: "DATA_LOSS",
  [Code.Unauthenticated]: "UNAUTHENTICATED",
};

/**
 * Translate what a call threw; `requestId` is the id sent, for failures that carry none. Throws what is
 * no failure of the call, but of a function that the caller gave.
 */
export function errorOfFailure(failure: unknown, requestId: string): PolyheadError {
  if (failure instanceof PolyheadError) return failure;
  if (!(failure instanceof ConnectError)) throw failure;
  const facts = {
    code: NAME_OF_CODE[failure.code],
    message: failure.rawMessage,
    requestId: requestIdOf(failure) || requestId,
    violations: violationsOf(failure),
    retryAfterMs: retryAfterMsOf(failure),
  };
  return errorOf(facts, failure);
}

/** Translate the status of one item of a stream. */
export function errorOfStatus(status: Status, requestId: string): PolyheadError {
  const code = status.code in NAME_OF_CODE ? (status.code as Code) : Code.Unknown;
  const error = new ConnectError(status.message, code);
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return errorOfFailure(error, requestId);
}

function violationsOf(error: ConnectError): readonly Violation[] {
  const fields = error.findDetails(BadRequestSchema).flatMap((one) => one.fieldViolations);
  return fields.map(({ field, description }) => ({ field, description }));
}

function requestIdOf(error: ConnectError): string {
  const [told] = error.findDetails(RequestInfoSchema);
  return told?.requestId || error.metadata.get(REQUEST_ID_HEADER) || "";
}

/** The server says it in RetryInfo, a gateway that limits rates in a header, in whole seconds. */
function retryAfterMsOf(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (delay !== undefined) return Math.max(0, Number(delay.seconds) * 1000 + delay.nanos / 1e6);
  const header = error.metadata.get(RETRY_AFTER_HEADER) ?? "";
  return /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}
