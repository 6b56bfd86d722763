// What goes over the wire, what comes back, and what is refused before.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { InternalError, PolyheadError, UnexpectedStatusError, createPolyheadClient } from "@polyhead/client";
import type { AnnotateRequest } from "@polyhead/client/v1";
import { OffsetUnit, Priority } from "@polyhead/client/v1";
import { answer, both, connected } from "./serving.js";

/** A service that keeps what it was asked. */
function keeping(kept: { request: AnnotateRequest; headers: Headers }[]) {
  return {
    annotate: (request: AnnotateRequest, context: HandlerContext) => {
      kept.push({ request, headers: new Headers(context.requestHeader) });
      context.responseHeader.set("x-request-id", "made-by-the-server");
      return answer(request);
    },
  };
}

test("all tasks and offsets as JavaScript counts, where nothing is said", async (t) => {
  const kept: { request: AnnotateRequest; headers: Headers }[] = [];
  for (const [, client] of await both(t, () => keeping(kept))) {
    const annotation = await client.annotate("a text");
    assert.deepEqual(
      { ...annotation.info, timings: undefined },
      { bundleVersion: "7", offsetUnit: "utf16", requestId: "made-by-the-server", timings: undefined },
    );
  }
  for (const { request } of kept) {
    assert.deepEqual(request.tasks, ["*"]);
    assert.equal(request.offsetUnit, OffsetUnit.UTF16);
    assert.equal(request.priority, Priority.UNSPECIFIED);
    assert.equal(request.bundleVersion, "");
    assert.equal(request.documents[0]?.source.value, "a text");
  }
});

test("a call says how urgent it is and which bundle is to answer", async (t) => {
  const kept: { request: AnnotateRequest; headers: Headers }[] = [];
  for (const [, client] of await both(t, () => keeping(kept))) {
    await client.annotate("a text", { priority: "bulk", bundleVersion: "2026.12", offsetUnit: "utf8_byte" });
  }
  for (const { request } of kept) {
    assert.equal(request.priority, Priority.BULK);
    assert.equal(request.bundleVersion, "2026.12");
    assert.equal(request.offsetUnit, OffsetUnit.UTF8_BYTE);
  }
  assert.equal(kept.length, 2);
});

test("credentials, headers and the request's name travel", async (t) => {
  const kept: { request: AnnotateRequest; headers: Headers }[] = [];
  const token = async () => "fresh";
  const options = { token, apiKey: "key", allowInsecureCredentials: true, headers: { "x-team": "blue" } };
  for (const [, client] of await both(t, () => keeping(kept), options)) {
    await client.annotate({ words: ["two", "words"] }, { requestId: "mine", tasks: ["pos"] });
  }
  for (const { headers, request } of kept) {
    assert.equal(headers.get("authorization"), "Bearer fresh");
    assert.equal(headers.get("x-api-key"), "key");
    assert.equal(headers.get("x-team"), "blue");
    assert.equal(headers.get("x-request-id"), "mine");
    assert.deepEqual(request.tasks, ["pos"]);
    assert.equal(request.documents[0]?.source.case, "words");
  }
  assert.equal(kept.length, 2);
});

test("a function that gives no token fails with its own error", async (t) => {
  const token = () => Promise.reject(new Error("the vault is shut"));
  for (const [, client] of await both(t, () => ({}), { token, allowInsecureCredentials: true })) {
    await assert.rejects(client.annotate("a text"), { message: "the vault is shut" });
  }
});

test("options that cannot work are refused, without showing a secret", () => {
  const http = "http://localhost:8080";
  for (const options of [
    { baseUrl: "localhost:8080" },
    { baseUrl: "not a URL" },
    { baseUrl: http, token: "secret" },
    { baseUrl: http, apiKey: "secret" },
    { baseUrl: http, timeoutMs: 0 },
    { baseUrl: http, timeoutMs: Infinity },
    { baseUrl: http, retry: { maxAttempts: 0 } },
    { baseUrl: http, retry: { initialBackoffMs: 9, maxBackoffMs: 1 } },
  ]) {
    assert.throws(
      () => createPolyheadClient(options),
      (error: Error) => !error.message.includes("secret") && !(error instanceof PolyheadError),
    );
  }
});

test("bad arguments are refused before anything is sent", async (t) => {
  const client = await connected(t, {}, { token: "secret\n", allowInsecureCredentials: true });
  await assert.rejects(client.annotate(7 as never), TypeError);
  await assert.rejects(client.annotate({ words: "no list" } as never), TypeError);
  await assert.rejects(client.annotate("a text", { timeoutMs: NaN }), RangeError);
  await assert.rejects(client.annotate("a text"), { message: "token is not one or more visible ASCII characters" });
});

test("every status becomes an error with its code", async (t) => {
  for (const name of ["NotFound", "AlreadyExists", "FailedPrecondition", "Aborted"] as const) {
    const client = await connected(t, {
      listTasks: () => {
        throw new ConnectError("why", Code[name]);
      },
    });
    await assert.rejects(client.listTasks(), (error: PolyheadError) => {
      assert.equal(error.code, name.replace(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase());
      assert.equal(error.name, "UnexpectedStatusError");
      return error instanceof UnexpectedStatusError && error.message === "why";
    });
  }
});

test("an answer with too few annotations is a fault of the server", async (t) => {
  const client = await connected(t, { annotate: () => answer({ documents: [] }) });
  await assert.rejects(client.annotate("a text"), InternalError);
});
