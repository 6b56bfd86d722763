// Bulk work over one stream.

import type { AnnotateStreamResponse, StreamOutcome } from "./gen/polyhead/v1/annotation_service_pb.js";
import { Annotation, infoOf, type ResponseInfo } from "./annotation.js";
import { documentOf, sizeOf } from "./documents.js";
import { errorOf, type PolyheadError } from "./errors.js";
import type { AnnotateOptions, DocumentInput } from "./options.js";
import { errorOfStatus } from "./status.js";
import { termsOf } from "./terms.js";

/** A document with the caller's id for it. */
export interface StreamItem {
  /** Comes back with the outcome; at most 128 characters. */
  readonly id: string;
  readonly document: DocumentInput;
}

/** What became of one item: its annotation, or why there is none. */
export type Outcome =
  | { readonly id: string; readonly annotation: Annotation; readonly error?: undefined }
  | { readonly id: string; readonly annotation?: undefined; readonly error: PolyheadError };

/** What a stream may be told. It has no deadline where none is given. */
export interface StreamOptions extends AnnotateOptions {
  /** Items in one message, at most. Default: 16. */
  readonly messageItems?: number;
}

/** Items, from any source. */
export type Items = Iterable<StreamItem> | AsyncIterable<StreamItem>;

const DEFAULT_MESSAGE_ITEMS = 16;
/** Characters in a message, unless one item has more: far below what a server takes at once. */
const MESSAGE_CHARS = 64 * 1024;

/** Turns items into messages, and keeps what went wrong with the items themselves. */
export class Source {
  /** What the caller's iterable threw, or what is wrong with one of its items. */
  failure: { readonly thrown: unknown } | undefined;

  constructor(
    private readonly items: Items,
    private readonly options: StreamOptions,
  ) {}

  /** The messages that carry the items. */
  async *messages() {
    try {
      yield* messagesOf(this.items, this.options);
    } catch (thrown) {
      this.failure = { thrown };
      throw thrown;
    }
  }
}

/** Messages, each full but the last. */
async function* messagesOf(items: Items, options: StreamOptions) {
  const shared = termsOf(options);
  let gathered: { id: string; document: ReturnType<typeof documentOf> }[] = [];
  let chars = 0;
  const message = () => {
    const items = gathered;
    [gathered, chars] = [[], 0];
    return { ...shared, items };
  };
  for await (const { id, document } of items) {
    const item = { id, document: documentOf(document) };
    const size = sizeOf(document);
    if (gathered.length > 0 && chars + size > MESSAGE_CHARS) yield message();
    gathered.push(item);
    chars += size;
    if (gathered.length >= checkedItems(options)) yield message();
  }
  if (gathered.length > 0) yield message();
}

/** The outcomes in one answer. */
export function outcomesOf(response: AnnotateStreamResponse, requestId: string): Outcome[] {
  const info = infoOf(response, requestId);
  return response.outcomes.map((one) => outcomeOf(one, info));
}

/** Give the number of items in a message, or throw a RangeError. */
export function checkedItems({ messageItems = DEFAULT_MESSAGE_ITEMS }: StreamOptions): number {
  if (Number.isInteger(messageItems) && messageItems >= 1) return messageItems;
  throw new RangeError("messageItems is a whole number, at least 1");
}

function outcomeOf({ id, outcome }: StreamOutcome, info: ResponseInfo): Outcome {
  if (outcome.case === "annotation") return { id, annotation: new Annotation(outcome.value, info) };
  const { requestId } = info;
  if (outcome.case === "error") return { id, error: errorOfStatus(outcome.value, requestId) };
  return { id, error: errorOf({ code: "INTERNAL", message: "an item without an outcome", requestId }) };
}
