import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker, WorkerError } from "./worker.mjs";

const WORKER = new URL("worker.mjs", import.meta.url).href;
const HANDLERS = `{
  add: ({ a, b }) => ({ sum: a + b }),
  twice: () => { say({ line: 1 }); return { line: 2 }; },
  fail: () => { throw new Error("Cannot do that"); },
  vanish: () => { console.error("out of luck"); process.exit(3); },
}`;

function start() {
  const program = `import { answerLines, say } from ${JSON.stringify(WORKER)}; await answerLines(${HANDLERS});`;
  return new Worker("the worker", [process.execPath, "--input-type=module", "--eval", program]);
}

test("a worker answers questions in order, with as many lines as its handler says", async () => {
  const worker = start();
  try {
    assert.deepEqual(await worker.ask({ do: "add", a: 2, b: 3 }), { sum: 5 });
    assert.deepEqual(await worker.ask({ do: "twice" }), { line: 1 });
    assert.deepEqual(await worker.answer(), { line: 2 });
  } finally {
    await worker.close();
  }
});

test("a handler's failure is the asker's error, and the worker goes on", async () => {
  const worker = start();
  try {
    await assert.rejects(worker.ask({ do: "fail" }), new WorkerError("the worker: Cannot do that"));
    assert.deepEqual(await worker.ask({ do: "add", a: 1, b: 1 }), { sum: 2 });
  } finally {
    await worker.close();
  }
});

test("a worker that ends fails the question that is open and every later one, with what it said last", async () => {
  const worker = start();
  await assert.rejects(worker.ask({ do: "vanish" }), /the worker is gone: it ended with 3\nout of luck/);
  await assert.rejects(worker.ask({ do: "add", a: 1, b: 1 }), /is gone/);
  await worker.close();
});

test("kill() fails the question that is open", async () => {
  const worker = start();
  assert.deepEqual(await worker.ask({ do: "twice" }), { line: 1 });
  assert.deepEqual(await worker.answer(), { line: 2 });
  const answer = worker.answer();
  worker.kill();
  await assert.rejects(answer, /is gone: it ended with SIGTERM/);
});

test("a program that cannot be started is told by name", async () => {
  await assert.rejects(new Worker("the worker", ["/nonexistent/program"]).ask({ do: "add" }), /ENOENT/);
});
