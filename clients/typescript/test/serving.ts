// A real service in this process that answers as a test says.

import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createPolyheadClient, type ClientOptions, type PolyheadClient } from "@polyhead/client";
import { createPolyheadClient as createNodeClient } from "@polyhead/client/node";
import type { NodeClientOptions, PolyheadNodeClient } from "@polyhead/client/node";
import { AnnotateResponseSchema, AnnotationService, OffsetUnit, type AnnotateRequest } from "@polyhead/client/v1";
import { RequestInfoSchema, RetryInfoSchema } from "../dist/gen/google/rpc/error_details_pb.js";

export const QUICK = { maxAttempts: 4, initialBackoffMs: 1, maxBackoffMs: 2 };

type Service = Partial<ServiceImpl<typeof AnnotationService>>;

/** Serve gRPC until the test ends; gives the URL. */
export async function serveGrpc(test: TestContext, service: Service): Promise<string> {
  const server = createHttp2Server(handler(service));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Serve gRPC-Web until the test ends; gives the URL. */
export async function serveWeb(test: TestContext, service: Service): Promise<string> {
  const server = createServer(handler(service));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Connect over gRPC to a service that answers as told. */
export async function connected(
  test: TestContext,
  service: Service,
  options: Partial<NodeClientOptions> = {},
): Promise<PolyheadNodeClient> {
  const baseUrl = await serveGrpc(test, service);
  const client = createNodeClient({ baseUrl, retry: QUICK, ...options });
  test.after(() => client.close());
  return client;
}

/** Both clients, each connected to a service of its own that answers as told. */
export async function both(
  test: TestContext,
  service: () => Service,
  options: Partial<ClientOptions> = {},
): Promise<[string, PolyheadClient][]> {
  const baseUrl = await serveWeb(test, service());
  const web = createPolyheadClient({ baseUrl, retry: QUICK, ...options });
  return [
    ["web", web],
    ["node", await connected(test, service(), options)],
  ];
}

/** An empty annotation for each document. */
export function answer(request: Pick<AnnotateRequest, "documents">) {
  const annotations = request.documents.map(() => ({ windows: 1, tokens: 2 }));
  return create(AnnotateResponseSchema, { annotations, offsetUnit: OffsetUnit.UTF16, bundleVersion: "7" });
}

/** The error of a full queue. */
export function full(retryAfterMs?: number): ConnectError {
  const info = { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs ?? 0) } };
  const named = { desc: RequestInfoSchema, value: { requestId: "the-id" } };
  const details = retryAfterMs === undefined ? [named] : [info, named];
  return new ConnectError("the queue is full", Code.ResourceExhausted, undefined, details);
}

function handler(service: Service) {
  return connectNodeAdapter({ routes: (router) => void router.service(AnnotationService, service) });
}
