import assert from "node:assert/strict";
import { closeSync, readSync, writeSync } from "node:fs";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SyscallError } from "./errors.ts";
import * as sys from "./sys.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

const O_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;

function pipe(): { reader: number; writer: number } {
  const fds = new Int32Array(2);
  sys.check(sys.pipe2(new Uint8Array(fds.buffer), O_NONBLOCK_CLOEXEC), "make a pipe");
  return { reader: fds[0] ?? -1, writer: fds[1] ?? -1 };
}

/** A promise and what fulfils it. */
function event<T = void>(): { happened: Promise<T>; happen: (value: T) => void } {
  let happen: (value: T) => void = () => {};
  const happened = new Promise<T>((resolve) => {
    happen = resolve;
  });
  return { happened, happen };
}

test("a call answers with its result or the negated errno, whatever happens after it", () => {
  assert.equal(sys.close(-1), -9);
  const result = sys.socket(999, 1, 0);
  // This sets errno to something else.
  assert.equal(sys.close(-1), -9);
  assert.equal(result, -97);
  const fd = sys.socket(1, 1, 0);
  assert.ok(fd > 2);
  assert.equal(sys.close(fd), 0);
});

test("check() says what failed, on what, in libc's words", () => {
  assert.equal(sys.check(7, "open a socket"), 7);
  assert.throws(
    () => sys.check(-13, "mount", "/mnt"),
    (error) =>
      error instanceof SyscallError &&
      error.message === "Cannot mount /mnt: Permission denied (EACCES)" &&
      error.errno === 13 &&
      error.code === "EACCES",
  );
  assert.equal(sys.errnoCode(11), "EAGAIN");
  assert.equal(sys.errnoCode(95), "EOPNOTSUPP");
  assert.equal(sys.errnoCode(4095), "errno 4095");
});

test("mapMemory() gives memory that garbage collection does not move, for structures that hold addresses", () => {
  // struct msghdr -> struct iovec -> buffer, all of it in one mapping; the datagram is a dump of this host's links.
  const memory = sys.mapMemory(64 * 1024);
  const view = new DataView(memory.bytes.buffer);
  const [iovec, buffer] = [64, 128];
  view.setBigUint64(16, BigInt(memory.address + iovec), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(iovec, BigInt(memory.address + buffer), true);
  view.setBigUint64(iovec + 8, BigInt(memory.bytes.length - buffer), true);
  const fd = sys.check(sys.socket(16, 3 | O_NONBLOCK_CLOEXEC, 0), "open a netlink socket");
  try {
    const request = new Uint8Array(32);
    const header = new DataView(request.buffer);
    header.setUint32(0, 32, true);
    header.setUint16(4, 18, true);
    header.setUint16(6, 0x301, true);
    assert.equal(sys.send(fd, request, 32, 0), 32);
    collectGarbage();
    const length = sys.recvmsg(fd, memory.address, 0);
    assert.ok(length > 32, `recvmsg: ${length}`);
    assert.equal(view.getUint16(buffer + 4, true), 16, "RTM_NEWLINK");
  } finally {
    sys.close(fd);
    memory.unmap();
  }
});

test("mapMemory() says why it cannot", () => {
  assert.throws(() => sys.mapMemory(2 ** 50), /Cannot mmap 1125899906842624 bytes: .* \(ENOMEM\)/);
});

test("watch() lives on although nobody holds it (a handle that nothing refers to is collected, and goes silent)", async () => {
  const { reader, writer } = pipe();
  const got = event<string>();
  // In a function of its own, so that no variable of a live frame refers to the watch.
  const start = (): void => {
    const watching = sys.watch(reader, () => {
      const buffer = Buffer.alloc(16);
      got.happen(buffer.toString("utf8", 0, readSync(reader, buffer)));
      watching[Symbol.dispose]();
    });
  };
  start();
  for (let i = 0; i < 5; i++) {
    await new Promise(setImmediate);
    collectGarbage();
  }
  writeSync(writer, "hello");
  assert.equal(await got.happened, "hello");
  closeSync(reader);
  closeSync(writer);
});

test("watch() runs its reader outside libuv's callback, so that promises are settled there", async () => {
  // On Node 26 microtasks do not run after a callback of the FFI library; on 20 to 24 they do, and this passes with or
  // without setImmediate(). It is here for the day when it runs on 26.
  const { reader, writer } = pipe();
  const done = event();
  const watching = sys.watch(reader, () => {
    readSync(reader, Buffer.alloc(16));
    void Promise.resolve().then(() => done.happen());
  });
  writeSync(writer, "x");
  await done.happened;
  watching[Symbol.dispose]();
  closeSync(reader);
  closeSync(writer);
});

test("watch() calls again for what its reader left unread, and not after it was disposed", async () => {
  const { reader, writer } = pipe();
  const third = event();
  let calls = 0;
  const watching = sys.watch(reader, () => {
    readSync(reader, Buffer.alloc(1));
    if (++calls === 3) third.happen();
  });
  writeSync(writer, "abcd");
  await third.happened;
  watching[Symbol.dispose]();
  watching[Symbol.dispose]();
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  assert.equal(calls, 3);
  assert.equal(readSync(reader, Buffer.alloc(16)), 1, "d is still there");
  closeSync(reader);
  closeSync(writer);
});

test("watch() starts again after POLLERR, ever more slowly while the error stays", async () => {
  // A pipe without a reader has POLLERR for good, as a TUN device that is down.
  const { reader, writer } = pipe();
  closeSync(reader);
  const eighth = event();
  let errors = 0;
  const startedNs = process.hrtime.bigint();
  const watching = sys.watch(
    writer,
    () => assert.fail("nothing to read"),
    () => {
      if (++errors === 8) eighth.happen();
    },
  );
  await eighth.happened;
  const elapsedMs = Number(process.hrtime.bigint() - startedNs) / 1e6;
  watching[Symbol.dispose]();
  closeSync(writer);
  const pausesMs = [1, 2, 3, 4, 5, 6, 7].reduce((sum, failures) => sum + sys.watchBackoffMs(failures), 0);
  assert.equal(pausesMs, 30);
  // Not about speed: a timer never fires early, so a restart without its pause would show on any machine.
  assert.ok(elapsedMs >= pausesMs - 1, `${elapsedMs} ms`);
  assert.equal(sys.watchBackoffMs(100), 1000);
});

test("watch() hands over the socket's error, and goes on", async (t) => {
  // A datagram to a port where nobody listens: the answer is ECONNREFUSED, which is POLLERR.
  const AF_INET = 2;
  const SOCK_DGRAM = 2 | O_NONBLOCK_CLOEXEC;
  const loopback = Uint8Array.of(AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const peer = sys.check(sys.socket(AF_INET, SOCK_DGRAM, 0), "open a socket");
  sys.check(sys.bind(peer, loopback, 16), "bind");
  const address = loopback.slice();
  sys.check(sys.getsockname(peer, address, Uint8Array.of(16, 0, 0, 0)), "getsockname");
  const mine = sys.check(sys.socket(AF_INET, SOCK_DGRAM, 0), "open a socket");
  if (sys.connect(mine, address, 16) === -101) {
    sys.close(mine);
    sys.close(peer);
    return t.skip("lo is down in this network namespace");
  }
  const mineAddress = loopback.slice();
  sys.check(sys.getsockname(mine, mineAddress, Uint8Array.of(16, 0, 0, 0)), "getsockname");
  sys.close(peer);

  const refused = event<number>();
  const readable = event();
  const watching = sys.watch(
    mine,
    () => {
      if (sys.recv(mine, new Uint8Array(16), 16, 0x40) === 5) readable.happen();
    },
    refused.happen,
  );
  assert.equal(sys.send(mine, new Uint8Array(5), 5, 0), 5);
  assert.equal(await refused.happened, 111);

  const again = sys.check(sys.socket(AF_INET, SOCK_DGRAM, 0), "open a socket");
  sys.check(sys.bind(again, address, 16), "bind the same port");
  sys.check(sys.connect(again, mineAddress, 16), "connect");
  assert.equal(sys.send(again, new Uint8Array(5), 5, 0), 5);
  await readable.happened;
  watching[Symbol.dispose]();
  sys.close(again);
  sys.close(mine);
});
