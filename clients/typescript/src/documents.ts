// From what a caller gives to messages.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DocumentSchema } from "./gen/polyhead/v1/document_pb.js";
import type { DocumentInput } from "./options.js";

type DocumentInit = MessageInitShape<typeof DocumentSchema>;

/** The message of one document; throws a TypeError for what is none. */
export function documentOf(input: DocumentInput): DocumentInit {
  if (typeof input === "string") return { source: { case: "text", value: input } };
  if (Array.isArray(input?.words) && input.words.every((word) => typeof word === "string")) {
    return { source: { case: "words", value: { words: [...input.words] } } };
  }
  throw new TypeError("a document is a string, or { words: [...] } with strings");
}
