// Streams of any length, errors of single items, and the ways in which a stream ends.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { DeadlineExceededError, InvalidArgumentError, UnavailableError, type Outcome } from "@polyhead/client/node";
import type { AnnotateStreamRequest } from "@polyhead/client/v1";
import { connected } from "./serving.js";

function* items(count: number) {
  for (let number = 0; number < count; number++) yield { id: `${number}`, document: `text ${number}` };
}

async function* echo(requests: AsyncIterable<AnnotateStreamRequest>) {
  for await (const request of requests) {
    yield { outcomes: request.items.map(({ id }) => outcome(id)), bundleVersion: "7" };
  }
}

/** A service that takes note of how many items each message has. */
function noting(sizes: number[]) {
  return async function* (requests: AsyncIterable<AnnotateStreamRequest>) {
    for await (const request of requests) {
      sizes.push(request.items.length);
      yield { outcomes: request.items.map(({ id }) => outcome(id)) };
    }
  };
}

function outcome(id: string) {
  if (id !== "3") return { id, outcome: { case: "annotation" as const, value: { windows: 1 } } };
  return { id, outcome: { case: "error" as const, value: { code: Code.InvalidArgument, message: "odd" } } };
}

async function gathered(outcomes: AsyncIterable<Outcome>) {
  const found = new Map<string, Outcome>();
  for await (const one of outcomes) found.set(one.id, one);
  return found;
}

test("each item has its outcome, its own error included", async (t) => {
  const client = await connected(t, { annotateStream: echo });
  const found = await gathered(client.annotateStream(items(100), { messageItems: 7 }));
  assert.equal(found.size, 100);
  assert.ok(found.get("3")?.error instanceof InvalidArgumentError);
  assert.equal(found.get("4")?.annotation?.info.bundleVersion, "7");
});

test("messages are as large as asked for, and the last holds the rest", async (t) => {
  const sizes: number[] = [];
  const client = await connected(t, { annotateStream: noting(sizes) });
  await gathered(client.annotateStream(items(10), { messageItems: 4 }));
  assert.deepEqual(sizes, [4, 4, 2]);
});

test("long documents do not go together", async (t) => {
  const sizes: number[] = [];
  const client = await connected(t, { annotateStream: noting(sizes) });
  const long = "a".repeat(40_000);
  const documents = ["short", long, long, { words: [long, long] }, "short", "short"];
  await gathered(client.annotateStream(documents.map((document, number) => ({ id: `${number}`, document }))));
  assert.deepEqual(sizes, [2, 1, 1, 2]);
});

test("no item, no outcome", async (t) => {
  const client = await connected(t, { annotateStream: echo });
  assert.equal((await gathered(client.annotateStream([]))).size, 0);
});

test("a stream that breaks ends with an error", async (t) => {
  const client = await connected(t, {
    async *annotateStream() {
      yield { outcomes: [outcome("0")] };
      throw new ConnectError("gone", Code.Unavailable);
    },
  });
  const seen: string[] = [];
  await assert.rejects(async () => {
    for await (const one of client.annotateStream(items(9))) seen.push(one.id);
  }, UnavailableError);
  assert.deepEqual(seen, ["0"]);
});

test("an error of the items themselves comes out as it is", async (t) => {
  const client = await connected(t, { annotateStream: echo });
  async function* broken() {
    yield* items(3);
    throw new Error("the file is gone");
  }
  await assert.rejects(gathered(client.annotateStream(broken())), { message: "the file is gone" });
  const odd = [{ id: "0", document: 7 as never }];
  await assert.rejects(gathered(client.annotateStream(odd)), TypeError);
});

test("who leaves a stream ends it at the server and closes the items", async (t) => {
  const ended = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const client = await connected(t, {
    annotateStream: (requests, context: HandlerContext) => {
      context.signal.addEventListener("abort", () => ended.resolve());
      return echo(requests);
    },
  });
  async function* endless() {
    try {
      for (let number = 0; ; number++) yield { id: `${number}`, document: "a text" };
    } finally {
      closed.resolve();
    }
  }
  for await (const _ of client.annotateStream(endless(), { messageItems: 1 })) break;
  await Promise.all([ended.promise, closed.promise]);
});

test("a stream has a deadline where one is given", async (t) => {
  const client = await connected(t, {
    async *annotateStream(_, { signal }) {
      yield { outcomes: [outcome("0")] };
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  });
  const stream = client.annotateStream(items(1), { timeoutMs: 100 });
  await assert.rejects(gathered(stream), DeadlineExceededError);
});

test("a message of no size is refused", async (t) => {
  const client = await connected(t, { annotateStream: echo });
  await assert.rejects(gathered(client.annotateStream(items(1), { messageItems: 0 })), RangeError);
});
