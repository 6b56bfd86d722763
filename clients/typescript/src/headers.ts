// What goes with every call: credentials, the caller's own headers, the request id.

import type { CallOptions, ClientOptions } from "./options.js";
import { REQUEST_ID_HEADER } from "./status.js";

const API_KEY_HEADER = "x-api-key";
const VISIBLE = /^[!-~]+$/;

/** The headers of one attempt; throws a TypeError, without the value, for what no header can carry. */
export async function headersOf(client: ClientOptions, call: CallOptions): Promise<Headers> {
  const { token, apiKey } = client;
  const headers = new Headers(client.headers);
  if (token !== undefined) {
    const value = typeof token === "string" ? token : await token();
    headers.set("authorization", `Bearer ${visible(value, "token")}`);
  }
  if (apiKey !== undefined) headers.set(API_KEY_HEADER, visible(apiKey, "apiKey"));
  if (call.requestId !== undefined) headers.set(REQUEST_ID_HEADER, visible(call.requestId, "requestId"));
  return headers;
}

function visible(value: string, name: string): string {
  if (VISIBLE.test(value)) return value;
  throw new TypeError(`${name} is not one or more visible ASCII characters`);
}
