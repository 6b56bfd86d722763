// An annotated document, and what its response says about itself.

import { OffsetUnit } from "./gen/polyhead/v1/document_pb.js";
import type { AnnotateResponse, Timings } from "./gen/polyhead/v1/annotation_service_pb.js";
import type { Classification, DocumentAnnotation, Span, TaggedWord, TaskResult } from "./gen/polyhead/v1/result_pb.js";
import type { OffsetUnitName } from "./options.js";

const NAME_OF_UNIT: Readonly<Record<OffsetUnit, OffsetUnitName>> = {
  [OffsetUnit.UNSPECIFIED]: "code_point",
  [OffsetUnit.CODE_POINT]: "code_point",
  [OffsetUnit.UTF8_BYTE]: "utf8_byte",
  [OffsetUnit.UTF16]: "utf16",
};

/** What a response says about itself. */
export interface ResponseInfo {
  /** The version of the bundle that made every annotation in it. */
  readonly bundleVersion: string;
  /** The unit of every offset in it. */
  readonly offsetUnit: OffsetUnitName;
  /** Where the time went in the server, in seconds. */
  readonly timings: Timings | undefined;
  /** The id under which the server logged the request. */
  readonly requestId: string;
}

/** The result of one task, by kind. */
export type Result = Exclude<TaskResult["result"], { case: undefined }>;

/** Everything that was asked for about one document. */
export class Annotation {
  /** The results by task, in the order in which the tasks were asked for. */
  readonly results: ReadonlyMap<string, Result>;
  /** Encoder windows used; more than 1: the document was longer than the encoder's limit. */
  readonly windows: number;
  /** Encoder tokens (sub-words) in the document. */
  readonly tokens: number;

  constructor(
    made: DocumentAnnotation,
    /** What the response that carried it says about itself. */
    readonly info: ResponseInfo,
  ) {
    this.results = new Map(made.results.flatMap(named));
    this.windows = made.windows;
    this.tokens = made.tokens;
  }

  /** The result of a classification task; throws a TypeError where there is none. */
  classification(task: string): Classification {
    const result = this.results.get(task);
    if (result?.case === "classification") return result.value;
    throw this.missing(task, "classification");
  }

  /** The tagged words of a tagging task; throws a TypeError where there are none. */
  tagging(task: string): readonly TaggedWord[] {
    const result = this.results.get(task);
    if (result?.case === "tagging") return result.value.words;
    throw this.missing(task, "tagging");
  }

  /** The spans of a task that finds spans; throws a TypeError where it is no such task. */
  spans(task: string): readonly Span[] {
    const result = this.results.get(task);
    if (result?.case === "spans") return result.value.spans;
    throw this.missing(task, "spans");
  }

  private missing(task: string, kind: string): TypeError {
    const found = this.results.get(task)?.case;
    return new TypeError(`task ${task} gives ${found ?? "nothing: it was not asked for"}, not ${kind}`);
  }
}

/** Annotations of several documents, in their order. */
export interface AnnotationBatch {
  readonly annotations: readonly Annotation[];
  readonly info: ResponseInfo;
}

/** Read what a response, or one message of a stream, says about itself. */
export function infoOf(
  response: Pick<AnnotateResponse, "bundleVersion" | "offsetUnit" | "timings">,
  requestId: string,
): ResponseInfo {
  const { bundleVersion, offsetUnit, timings } = response;
  return { bundleVersion, offsetUnit: NAME_OF_UNIT[offsetUnit], timings, requestId };
}

/** Kinds of results from servers newer than this client are left out. */
function named({ task, result }: TaskResult): [string, Result][] {
  return result.case === undefined ? [] : [[task, result]];
}
