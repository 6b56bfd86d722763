/**
 * The client for Node: gRPC or gRPC-Web over HTTP/2, with streams.
 *
 * @module
 */

import type { SecureClientSessionOptions } from "node:http2";
import { Http2SessionManager, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { UnaryClient, type PolyheadClient } from "./client.js";
import { headersOf } from "./headers.js";
import { checkedTimeoutMs, type ClientOptions } from "./options.js";
import { REQUEST_ID_HEADER, errorOfFailure } from "./status.js";
import { Source, checkedItems, outcomesOf, type Items, type Outcome, type StreamOptions } from "./stream.js";

export * from "./index.js";
export type { Items, Outcome, StreamItem, StreamOptions } from "./stream.js";

const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;

/** What a client in Node is told. */
export interface NodeClientOptions extends ClientOptions {
  /** `grpc` for a server or a gateway, `grpc-web` for a gateway. Default: `grpc`. */
  readonly protocol?: "grpc" | "grpc-web";
  /** Options of Node's `http2.connect`, such as `ca`, `cert` and `key`. */
  readonly tls?: SecureClientSessionOptions;
}

/** A client that keeps a connection, and has streams. */
export interface PolyheadNodeClient extends PolyheadClient {
  /**
   * Annotate any number of documents in flat memory, each with an outcome of its own.
   *
   * Outcomes come as the server finishes them: match them by id. A stream that breaks ends with a
   * PolyheadError and is not tried again.
   */
  annotateStream(items: Items, options?: StreamOptions): AsyncGenerator<Outcome, void, undefined>;
  /** Close the connection; calls under way fail. */
  close(): void;
}

/**
 * Make a client that speaks gRPC with a server, or gRPC or gRPC-Web with a gateway.
 *
 * Throws a TypeError or RangeError where an option cannot work.
 */
export function createPolyheadClient(options: NodeClientOptions): PolyheadNodeClient {
  return new NodeClient(options);
}

class NodeClient extends UnaryClient implements PolyheadNodeClient {
  private readonly sessions: Http2SessionManager;

  constructor(options: NodeClientOptions) {
    const pings = { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS };
    const sessions = new Http2SessionManager(options.baseUrl, pings, options.tls);
    super(transportOf(options, sessions), options);
    this.sessions = sessions;
  }

  async *annotateStream(items: Items, options: StreamOptions = {}): AsyncGenerator<Outcome, void, undefined> {
    checkedItems(options);
    const source = new Source(items, options);
    const left = new AbortController();
    let requestId = options.requestId ?? "";
    const attempt = {
      ...(await this.streamOptions(options, left.signal)),
      onHeader: (received: Headers) => {
        requestId = received.get(REQUEST_ID_HEADER) ?? requestId;
      },
    };
    try {
      for await (const response of this.rpc.annotateStream(source.messages(), attempt)) {
        yield* outcomesOf(response, requestId);
      }
    } catch (failure) {
      if (source.failure !== undefined) throw source.failure.thrown;
      throw errorOfFailure(failure, requestId);
    } finally {
      left.abort();
    }
  }

  close(): void {
    this.sessions.abort();
  }

  private async streamOptions(options: StreamOptions, left: AbortSignal) {
    return {
      headers: await headersOf(this.options, options),
      signal: options.signal === undefined ? left : AbortSignal.any([options.signal, left]),
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: checkedTimeoutMs(options.timeoutMs) }),
    };
  }
}

function transportOf(options: NodeClientOptions, sessionManager: Http2SessionManager) {
  const shared = { baseUrl: options.baseUrl, sessionManager };
  if (options.protocol === "grpc-web") return createGrpcWebTransport({ ...shared, httpVersion: "2" });
  return createGrpcTransport(shared);
}
