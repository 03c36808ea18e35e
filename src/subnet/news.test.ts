import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { News } from "./news.ts";

async function* toAsync<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

describe("News", () => {
  it("is one for many messages, ends with them, and takes every one", async () => {
    const taken: number[] = [];
    const news = new News();
    const done = news.from(toAsync([1, 2, 3]), (message) => taken.push(message));
    assert.equal(await news.next(), true);
    assert.deepEqual(taken, [1, 2, 3]);
    assert.equal(await news.next(), false);
    await done;
  });

  it("waits for the next message after each", async () => {
    let put: (value: number) => void = () => {};
    async function* messages(): AsyncGenerator<number> {
      for (let i = 0; i < 2; i++)
        yield await new Promise<number>((resolve) => {
          put = resolve;
        });
    }
    const news = new News();
    const done = news.from(messages(), () => {});
    const first = news.next();
    put(1);
    assert.equal(await first, true);
    const second = news.next();
    put(2);
    assert.equal(await second, true);
    assert.equal(await news.next(), false);
    await done;
  });

  it("throws what the messages end with, after the news before", async () => {
    async function* failing(): AsyncGenerator<number> {
      yield 1;
      throw new Error("lost");
    }
    const news = new News();
    await news.from(failing(), () => {});
    assert.equal(await news.next(), true);
    await assert.rejects(news.next(), /lost/);
  });
});
