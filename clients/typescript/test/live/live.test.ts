// Every transport against a real server and a real gateway, whose addresses the environment gives.

import assert from "node:assert/strict";
import { env } from "node:process";
import { after, test } from "node:test";
import { HeadKind, InvalidArgumentError, UnauthenticatedError, createPolyheadClient } from "@polyhead/client";
import type { PolyheadClient } from "@polyhead/client";
import { createPolyheadClient as createNodeClient, type Outcome } from "@polyhead/client/node";

const TEXT = "Zoë 🎉 flew to Tel Aviv תל אביב, and the 👩‍👩‍👧 loved it.";

const server = given("POLYHEAD_SERVER");
const gateway = given("POLYHEAD_GATEWAY");
const guarded = given("POLYHEAD_GUARDED_GATEWAY");

const nodeClients = {
  "gRPC, server": createNodeClient({ baseUrl: server }),
  "gRPC, gateway": createNodeClient({ baseUrl: gateway }),
  "gRPC-Web over HTTP/2, gateway": createNodeClient({ baseUrl: gateway, protocol: "grpc-web" }),
};
const clients: Record<string, PolyheadClient> = {
  ...nodeClients,
  "gRPC-Web over fetch, gateway": createPolyheadClient({ baseUrl: gateway }),
};
after(() => Object.values(nodeClients).forEach((client) => client.close()));

for (const [name, client] of Object.entries(clients)) {
  test(`${name}: offsets cut the text where JavaScript cuts it`, async () => {
    const annotation = await client.annotate(TEXT, { requestId: "live-1" });
    const words = annotation.tagging("pos");
    assert.ok(words.length > 10);
    for (const { text, start, end } of words) assert.equal(TEXT.slice(start, end), text);
    for (const { text, start, end } of annotation.spans("entities")) assert.equal(TEXT.slice(start, end), text);
    assert.equal(annotation.info.requestId, "live-1");
    assert.ok((annotation.info.timings?.encodeSeconds ?? 0) > 0);
  });

  test(`${name}: several documents, some tasks, other units`, async () => {
    const documents = [TEXT, { words: ["two", "words"] }];
    const { annotations } = await client.annotateMany(documents, { tasks: ["topic", "pos"], offsetUnit: "utf8_byte" });
    const [one, two] = annotations;
    assert.deepEqual([...one!.results.keys()], ["topic", "pos"]);
    const scores = one!.classification("topic").scores.map(({ score }) => score);
    assert.ok(Math.abs(scores.reduce((sum, score) => sum + score) - 1) < 1e-4);
    const last = one!.tagging("pos").at(-1)!;
    assert.equal(last.end, Buffer.byteLength(TEXT));
    assert.deepEqual(two!.tagging("pos").map(({ text }) => text), ["two", "words"]);
    assert.throws(() => two!.spans("topic"), TypeError);
  });

  test(`${name}: tasks with kinds and labels`, async () => {
    const { tasks, bundleName } = await client.listTasks();
    assert.ok(bundleName.length > 0);
    const kinds = Object.fromEntries(tasks.map((task) => [task.name, task.kind]));
    assert.equal(kinds["entities"], HeadKind.SPANS);
    assert.equal(kinds["pos"], HeadKind.TAGGING);
    assert.ok(tasks.every((task) => task.labels.length > 1));
  });

  test(`${name}: a bad request names its fields`, async () => {
    await assert.rejects(client.annotateMany(["fine", "  "], { tasks: ["topic"] }), (error: InvalidArgumentError) => {
      assert.ok(error instanceof InvalidArgumentError);
      assert.equal(error.violations[0]?.field, "documents[1].text");
      assert.ok(error.violations[0].description.length > 0);
      return error.requestId.length > 0;
    });
  });
}

for (const [name, client] of Object.entries(nodeClients)) {
  test(`${name}: a stream of many items, one of them bad`, async () => {
    const found = new Map<string, Outcome>();
    const stream = client.annotateStream(items(), { tasks: ["sentiment"], messageItems: 8 });
    for await (const outcome of stream) found.set(outcome.id, outcome);
    assert.equal(found.size, 200);
    const bad = found.get("77")?.error;
    assert.ok(bad instanceof InvalidArgumentError && bad.violations.length > 0);
    const good = [...found.values()].filter((one) => one.annotation?.classification("sentiment").label);
    assert.equal(good.length, 199);
  });
}

test("a gateway that asks for keys gets them", async () => {
  const options = { baseUrl: guarded, allowInsecureCredentials: true };
  await assert.rejects(createPolyheadClient(options).listTasks(), UnauthenticatedError);
  for (const make of [createPolyheadClient, createNodeClient]) {
    const client = make({ ...options, apiKey: given("POLYHEAD_API_KEY") });
    assert.ok((await client.listTasks()).tasks.length > 0);
    if ("close" in client) (client.close as () => void)();
  }
});

function* items() {
  for (let number = 0; number < 200; number++) {
    yield { id: `${number}`, document: number === 77 ? "   " : `Text number ${number} is great.` };
  }
}

function given(name: string): string {
  const value = env[name];
  assert.ok(value, `${name} is not set`);
  return value;
}
