// What a caller asks for beside the documents.

import { OffsetUnit } from "./gen/polyhead/v1/document_pb.js";
import { Priority } from "./gen/polyhead/v1/annotation_service_pb.js";
import type { AnnotateOptions, OffsetUnitName, PriorityName } from "./options.js";

const ALL_TASKS: readonly string[] = ["*"];
const UNIT_OF_NAME: Readonly<Record<OffsetUnitName, OffsetUnit>> = {
  code_point: OffsetUnit.CODE_POINT,
  utf8_byte: OffsetUnit.UTF8_BYTE,
  utf16: OffsetUnit.UTF16,
};
const PRIORITY_OF_NAME: Readonly<Record<PriorityName, Priority>> = {
  interactive: Priority.INTERACTIVE,
  bulk: Priority.BULK,
};

/** What a request for annotations says about itself, whatever documents it has. */
export function termsOf(options: AnnotateOptions) {
  return {
    tasks: [...(options.tasks ?? ALL_TASKS)],
    offsetUnit: UNIT_OF_NAME[options.offsetUnit ?? "utf16"],
    priority: options.priority === undefined ? Priority.UNSPECIFIED : PRIORITY_OF_NAME[options.priority],
    bundleVersion: options.bundleVersion ?? "",
  };
}
