// What is tried again, how often, and when not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { CancelledError, DeadlineExceededError, OverloadedError, UnavailableError, createPolyheadClient } from "@polyhead/client";
import { answer, both, connected, full } from "./serving.js";

/** A service whose first calls fail. */
function failing(times: number, failure: () => ConnectError, calls = { made: 0 }) {
  return {
    annotate: (request: Parameters<typeof answer>[0]) => {
      calls.made += 1;
      if (calls.made <= times) throw failure();
      return answer(request);
    },
  };
}

test("UNAVAILABLE is tried again", async (t) => {
  const clients = await both(t, () => failing(2, () => new ConnectError("gone", Code.Unavailable)));
  for (const [, client] of clients) assert.equal((await client.annotate("a text")).tokens, 2);
});

test("all attempts of a call have one id", async (t) => {
  const ids: (string | null)[] = [];
  const client = await connected(t, {
    annotate(_, { requestHeader }) {
      ids.push(requestHeader.get("x-request-id"));
      if (ids.length % 3 !== 0) throw new ConnectError("gone", Code.Unavailable);
      return { annotations: [{ windows: 1 }] };
    },
  });
  await client.annotate("a text");
  await client.annotate("a text");
  await client.annotate("a text", { requestId: "mine" });
  assert.match(ids[0]!, /^[0-9a-f]{32}$/);
  assert.deepEqual(ids, [ids[0], ids[0], ids[0], ids[3], ids[3], ids[3], "mine", "mine", "mine"]);
  assert.notEqual(ids[0], ids[3]);
});

test("a full queue is waited for as long as it asks", async (t) => {
  for (const [, client] of await both(t, () => failing(1, () => full(120)))) {
    const start = performance.now();
    await client.annotate("a text");
    assert.ok(performance.now() - start >= 119);
  }
});

test("a gateway's retry-after header counts as well", async (t) => {
  const failure = () => new ConnectError("slow down", Code.ResourceExhausted, { "retry-after": "3600" });
  for (const [, client] of await both(t, () => failing(1, failure))) {
    await assert.rejects(client.annotate("a text"), (error: OverloadedError) => {
      assert.equal(error.retryAfterMs, 3_600_000);
      return error instanceof OverloadedError;
    });
  }
});

test("a full queue that does not say how long is not asked again", async (t) => {
  const calls = { made: 0 };
  const client = await connected(t, failing(9, () => full(), calls));
  await assert.rejects(client.annotate("a text"), { retryAfterMs: undefined, requestId: "the-id" });
  assert.equal(calls.made, 1);
});

test("a wait beyond the deadline is not begun", async (t) => {
  const client = await connected(t, failing(1, () => full(60_000)));
  await assert.rejects(client.annotate("a text", { timeoutMs: 5_000 }), OverloadedError);
});

test("attempts are bounded", async (t) => {
  const calls = { made: 0 };
  const client = await connected(t, failing(99, () => new ConnectError("gone", Code.Unavailable), calls));
  await assert.rejects(client.annotate("a text"), UnavailableError);
  assert.equal(calls.made, 4);
});

test("the client's budget bounds retries of all its calls", async (t) => {
  const calls = { made: 0 };
  const client = await connected(t, failing(999, () => new ConnectError("gone", Code.Unavailable), calls));
  for (let call = 0; call < 8; call++) await assert.rejects(client.annotate("a text"), UnavailableError);
  assert.equal(calls.made, 8 + 10);
});

test("nothing else is tried again", async (t) => {
  for (const code of [Code.Internal, Code.InvalidArgument, Code.Unauthenticated, Code.Aborted]) {
    const calls = { made: 0 };
    const client = await connected(t, failing(9, () => new ConnectError("no", code), calls));
    await assert.rejects(client.annotate("a text"));
    assert.equal(calls.made, 1);
  }
});

test("a server that is not there is UNAVAILABLE", async (t) => {
  const nowhere = { baseUrl: "http://127.0.0.1:1", retry: { maxAttempts: 1 } };
  await assert.rejects(createPolyheadClient(nowhere).annotate("a text"), UnavailableError);
  const client = await connected(t, {}, nowhere);
  await assert.rejects(client.annotate("a text"), UnavailableError);
});

test("the deadline holds over all attempts and reaches the server", async (t) => {
  const told: (number | undefined)[] = [];
  const silent = () => ({
    annotate: (_: unknown, { signal, timeoutMs }: { signal: AbortSignal; timeoutMs(): number | undefined }) => {
      told.push(timeoutMs());
      return new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  });
  for (const [, client] of await both(t, silent)) {
    await assert.rejects(client.annotate("a text", { timeoutMs: 100 }), DeadlineExceededError);
  }
  assert.equal(told.length, 2);
  assert.ok(told.every((left) => left !== undefined && left <= 100));
});

test("a call is given up during a wait", async (t) => {
  const asked = Promise.withResolvers<void>();
  const client = await connected(t, {
    annotate: () => {
      asked.resolve();
      throw full(10_000);
    },
  });
  const stop = new AbortController();
  const call = client.annotate("a text", { signal: stop.signal });
  await asked.promise;
  stop.abort();
  await assert.rejects(call, CancelledError);
});
