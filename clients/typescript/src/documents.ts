// From what a caller gives to messages.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DocumentSchema } from "./gen/polyhead/v1/document_pb.js";
import type { DocumentInput } from "./options.js";

type DocumentInit = MessageInitShape<typeof DocumentSchema>;

/** What counts towards the server's limits of a document: code points at most, and a few more. */
export function sizeOf(input: DocumentInput): number {
  if (typeof input === "string") return input.length;
  return input.words.reduce((size, word) => size + word.length + 1, 0);
}

/** The message of one document; throws a TypeError for what is none. */
export function documentOf(input: DocumentInput): DocumentInit {
  if (typeof input === "string") return { source: { case: "text", value: input } };
  if (Array.isArray(input?.words) && input.words.every((word) => typeof word === "string")) {
    return { source: { case: "words", value: { words: [...input.words] } } };
  }
  throw new TypeError("a document is a string, or { words: [...] } with strings");
}
