// Single calls, over any transport.

import { createClient, type Client, type Transport } from "@connectrpc/connect";
import { Annotation, infoOf, type AnnotationBatch } from "./annotation.js";
import { documentOf } from "./documents.js";
import { AnnotationService, type ListTasksResponse } from "./gen/polyhead/v1/annotation_service_pb.js";
import { errorOf } from "./errors.js";
import { headersOf } from "./headers.js";
import { DEFAULT_TIMEOUT_MS, checkConnection, checkedRetry, checkedTimeoutMs } from "./options.js";
import type { AnnotateOptions, CallOptions, ClientOptions, DocumentInput } from "./options.js";
import { Retries } from "./retry.js";
import { REQUEST_ID_HEADER } from "./status.js";
import { termsOf } from "./terms.js";

/** Annotates text. Every method rejects with a PolyheadError where the call fails. */
export interface PolyheadClient {
  /** Annotate one document. */
  annotate(document: DocumentInput, options?: AnnotateOptions): Promise<Annotation>;
  /** Annotate several documents in one call, which succeeds or fails as a whole. */
  annotateMany(documents: readonly DocumentInput[], options?: AnnotateOptions): Promise<AnnotationBatch>;
  /** The tasks of the loaded bundle, with their labels and measured figures. */
  listTasks(options?: CallOptions): Promise<ListTasksResponse>;
}

/** How the generated client is told about one attempt. */
export interface Attempt {
  readonly headers: Headers;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  readonly onHeader: (headers: Headers) => void;
  readonly onTrailer: (trailers: Headers) => void;
}

/** An id for all attempts of one call: a canary then answers all of them, or none. */
const madeId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The calls that need no stream of requests, which browsers do not have. */
export class UnaryClient implements PolyheadClient {
  protected readonly rpc: Client<typeof AnnotationService>;
  private readonly retries: Retries;
  private readonly timeoutMs: number;

  constructor(
    transport: Transport,
    protected readonly options: ClientOptions,
  ) {
    checkConnection(options);
    this.rpc = createClient(AnnotationService, transport);
    this.retries = new Retries(checkedRetry(options.retry));
    this.timeoutMs = checkedTimeoutMs(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  }

  async annotate(document: DocumentInput, options: AnnotateOptions = {}): Promise<Annotation> {
    const { annotations } = await this.annotateMany([document], options);
    return annotations[0]!;
  }

  async annotateMany(
    documents: readonly DocumentInput[],
    options: AnnotateOptions = {},
  ): Promise<AnnotationBatch> {
    const request = {
      documents: documents.map(documentOf),
      ...termsOf(options),
    };
    const [response, requestId] = await this.call(options, (attempt) => this.rpc.annotate(request, attempt));
    const info = infoOf(response, requestId);
    if (response.annotations.length !== documents.length) {
      const message = `${response.annotations.length} annotations for ${documents.length} documents`;
      throw errorOf({ code: "INTERNAL", message, requestId });
    }
    return { annotations: response.annotations.map((made) => new Annotation(made, info)), info };
  }

  async listTasks(options: CallOptions = {}): Promise<ListTasksResponse> {
    const [response] = await this.call(options, (attempt) => this.rpc.listTasks({}, attempt));
    return response;
  }

  /** Call until it succeeds or must fail; gives the id of the request, too. */
  private async call<T>(
    options: CallOptions,
    attempt: (attempt: Attempt) => Promise<T>,
  ): Promise<[T, string]> {
    const own = { ...options, requestId: options.requestId ?? madeId() };
    let requestId = own.requestId;
    const timeoutMs = checkedTimeoutMs(options.timeoutMs ?? this.timeoutMs);
    const onHeader = (received: Headers) => {
      requestId = received.get(REQUEST_ID_HEADER) ?? requestId;
    };
    const named = { onHeader, onTrailer: onHeader }; // a gateway names it ahead, a server behind
    const signal = options.signal === undefined ? {} : { signal: options.signal };
    const bounds = { timeoutMs, signal: options.signal, requestId };
    const answer = await this.retries.run(bounds, async (leftMs) => {
      const headers = await headersOf(this.options, own);
      return attempt({ ...signal, headers, timeoutMs: leftMs, ...named });
    });
    return [answer, requestId];
  }
}
