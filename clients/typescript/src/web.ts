// gRPC-Web over fetch: browsers, workers, and every runtime that has fetch.

import { Code, ConnectError } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { UnaryClient, type PolyheadClient } from "./client.js";
import type { ClientOptions } from "./options.js";

/**
 * Make a client that speaks gRPC-Web with a gateway.
 *
 * Throws a TypeError or RangeError where an option cannot work.
 */
export function createPolyheadClient(options: ClientOptions): PolyheadClient {
  const transport = createGrpcWebTransport({
    baseUrl: options.baseUrl,
    fetch: reach,
  });
  return new UnaryClient(transport, options);
}

/** Fetch rejects with a TypeError where it did not reach the server. */
async function reach(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(input, init);
  } catch (failure) {
    if (!(failure instanceof TypeError)) throw failure;
    throw new ConnectError("the server could not be reached", Code.Unavailable, undefined, undefined, failure);
  }
}
