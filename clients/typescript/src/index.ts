/**
 * The client for browsers and every runtime with fetch: gRPC-Web through a gateway.
 *
 * @module
 */

export { Annotation, type AnnotationBatch, type ResponseInfo, type Result } from "./annotation.js";
export type { PolyheadClient } from "./client.js";
export {
  CancelledError,
  DeadlineExceededError,
  InternalError,
  InvalidArgumentError,
  OverloadedError,
  PermissionDeniedError,
  PolyheadError,
  UnauthenticatedError,
  UnavailableError,
  UnexpectedStatusError,
  UnimplementedError,
  type StatusCode,
  type Violation,
} from "./errors.js";
export type {
  AnnotateOptions,
  CallOptions,
  ClientOptions,
  DocumentInput,
  OffsetUnitName,
  PriorityName,
  RetryPolicy,
} from "./options.js";
export type { ListTasksResponse, Timings } from "./gen/polyhead/v1/annotation_service_pb.js";
export type { Classification, LabelScore, Span, TaggedWord } from "./gen/polyhead/v1/result_pb.js";
export { HeadKind, type Figure, type Limits, type Task } from "./gen/polyhead/v1/task_pb.js";
export { createPolyheadClient } from "./web.js";
