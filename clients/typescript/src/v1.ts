/**
 * The generated messages and services, for clients of your own over any Connect transport.
 *
 * @module
 */

export * from "./gen/polyhead/v1/annotation_service_pb.js";
export * from "./gen/polyhead/v1/document_pb.js";
export * from "./gen/polyhead/v1/result_pb.js";
export * from "./gen/polyhead/v1/task_pb.js";
export { StatusSchema, type Status } from "./gen/google/rpc/status_pb.js";
