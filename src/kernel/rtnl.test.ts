import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePrefix } from "../formats/netip/index.ts";
import {
  deleteLink,
  deleteRoute,
  type Message,
  NLM_F_ACK,
  newLink,
  newRoute,
  type Request,
  RTM_DELLINK,
  RTM_DELROUTE,
  RTM_GETLINK,
  RTM_NEWLINK,
} from "../formats/netlink/index.ts";
import { isAlreadyExists, isNotFound, isPermission, isUnsupported, NetlinkError, SyscallError } from "./errors.ts";
import { fakeRtnl } from "./testing/fake-rtnl.ts";

const [EPERM, ENOENT, ESRCH, EEXIST, ENODEV, EINVAL] = [1, 2, 3, 17, 19, 22];
const bridge = (name: string, index: number): Request => newLink({ name, index, kind: { kind: "bridge" } });
const routeTo = (i: number): Request =>
  newRoute({ family: 4, dst: parsePrefix(`10.${i >> 8}.${i & 255}.0/24`), oif: 7 });

/** Calls `f`, which must throw a NetlinkError, and gives that. */
function refused(f: () => unknown): NetlinkError {
  try {
    f();
  } catch (error) {
    assert.ok(error instanceof NetlinkError, String(error));
    return error;
  }
  assert.fail("nothing was thrown");
}

test("execute() sends a list as one datagram with one ack, on the last", () => {
  const { rtnl, transport } = fakeRtnl();
  rtnl.execute([routeTo(1), routeTo(2), routeTo(3)]);
  assert.deepEqual(
    transport.batches.map((batch) => batch.map(({ flags }) => flags & NLM_F_ACK)),
    [[0, 0, NLM_F_ACK]],
  );
});

test("execute() cuts a long list into datagrams that a socket takes, in order", () => {
  const { rtnl, transport } = fakeRtnl();
  rtnl.execute(Array.from({ length: 300 }, (_, i) => routeTo(i)));
  assert.deepEqual(
    transport.batches.map((batch) => batch.length),
    [128, 128, 44],
  );
  const seqs = transport.batches.flat().map(({ seq }) => seq);
  assert.deepEqual(
    seqs,
    seqs.map((_, i) => (seqs[0] ?? 0) + i),
  );
});

test("execute() of nothing sends nothing", () => {
  const { rtnl, transport } = fakeRtnl();
  rtnl.execute([]);
  assert.equal(transport.batches.length, 0);
});

test("a refused request: what was attempted, on what, the errno's words and name, the kernel's own words", () => {
  const { rtnl } = fakeRtnl(() => ({ errno: EINVAL, message: "Nexthop id does not exist" }));
  const error = refused(() => rtnl.execute(newRoute({ family: 4, dst: parsePrefix("10.244.3.0/24"), nexthopId: 7 })));
  assert.equal(
    error.message,
    "Cannot add route 10.244.3.0/24 nhid 7: Invalid argument (EINVAL): Nexthop id does not exist",
  );
  assert.deepEqual([error.errno, error.code, error.extendedAck?.message], [22, "EINVAL", "Nexthop id does not exist"]);
});

test("the name of a device that was listed is in the message, not its index", () => {
  const kernel = ({ type }: Message) =>
    type === RTM_GETLINK ? { objects: [bridge("flannel.1", 7)] } : { errno: EEXIST };
  const { rtnl } = fakeRtnl(kernel);
  assert.match(refused(() => rtnl.execute(routeTo(1))).message, /add route 10.0.1.0\/24 dev #7: File exists/);
  rtnl.links();
  assert.match(refused(() => rtnl.execute(routeTo(1))).message, /add route 10.0.1.0\/24 dev flannel.1: File exists/);
});

test("of several that fail the first is thrown, with the others and the places of all in the caller's list", () => {
  const bad = new Set([5, 150, 299]);
  let i = -1;
  const { rtnl } = fakeRtnl(() => (bad.has(++i) ? { errno: EEXIST } : undefined));
  const error = refused(() => rtnl.execute(Array.from({ length: 300 }, (_, n) => routeTo(n))));
  assert.equal(i, 299, "all were sent");
  assert.equal(error.requestIndex, 5);
  assert.deepEqual(
    error.others.map(({ requestIndex, code }) => [requestIndex, code]),
    [
      [150, "EEXIST"],
      [299, "EEXIST"],
    ],
  );
  assert.match(error.message, /add route 10.0.5.0\/24 .*; 2 more of the same batch failed$/);
});

test("execute() passes over what the caller tolerates, and nothing else", () => {
  const kernel = ({ type }: Message) => ({
    errno: type === RTM_DELROUTE ? ESRCH : type === RTM_DELLINK ? ENODEV : EPERM,
  });
  const { rtnl } = fakeRtnl(kernel);
  const gone = [deleteRoute({ family: 4 }), deleteLink({ index: 7 })];
  rtnl.execute(gone, { tolerate: isNotFound });
  const error = refused(() => rtnl.execute([...gone, routeTo(1)], { tolerate: isNotFound }));
  assert.deepEqual([error.code, error.requestIndex, error.others.length], ["EPERM", 2, 0]);
});

test("an interrupted dump is asked again, and only the whole one counts", () => {
  let dumps = 0;
  const { rtnl } = fakeRtnl(() => {
    dumps++;
    return { objects: [bridge(`try${dumps}`, 7)], isInterrupted: dumps < 3 };
  });
  assert.deepEqual(
    rtnl.links().map(({ name }) => name),
    ["try3"],
  );
  assert.equal(dumps, 3);
});

test("a dump that is interrupted every time is an error, not half a list", () => {
  const { rtnl } = fakeRtnl(() => ({ objects: [bridge("a", 7)], isInterrupted: true }));
  const error = refused(() => rtnl.links());
  assert.equal(error.code, "EINTR");
  assert.match(error.message, /^Cannot list links: what is listed changed under each of 50 attempts/);
});

test("an answer that was lost is an error at once: nothing waits for what will not come", () => {
  const { rtnl } = fakeRtnl(() => ({ isLost: true }));
  assert.equal(refused(() => rtnl.execute(routeTo(1))).code, "ENOBUFS");
  assert.equal(refused(() => rtnl.links()).code, "ENOBUFS");
});

test("late answers to an earlier exchange, and what nobody asked for, are passed over", () => {
  const { rtnl, transport } = fakeRtnl(() => ({ objects: [bridge("mine", 7)] }));
  const stray = { type: RTM_NEWLINK, flags: 0, pid: 0, payload: bridge("stray", 9).payload };
  transport.inject({ ...stray, seq: 0 }, { ...stray, seq: 4_000_000 });
  assert.deepEqual(
    rtnl.links().map(({ name }) => name),
    ["mine"],
  );
});

test("an exchange on another thread and one on this thread each get their own answers", async () => {
  const { rtnl, transport } = fakeRtnl(({ type }) =>
    type === RTM_GETLINK ? { objects: [bridge("a", 7)] } : { errno: ENOENT },
  );
  // The other thread's answer arrives while this thread is in the middle of its own exchange, which reads it.
  let finishSend = (): void => {};
  transport.sendAsync = (bytes) => {
    transport.send(bytes);
    return new Promise((resolve) => {
      finishSend = resolve;
    });
  };
  const slow = rtnl.executeAsync(deleteLink({ index: 9 }));
  await new Promise(setImmediate);
  assert.deepEqual(
    rtnl.links().map(({ name }) => name),
    ["a"],
  );
  finishSend();
  await assert.rejects(slow, { code: "ENOENT", operation: "delete link #9" });
});

test("executeAsync() runs three at a time in the whole process, and goes on after a failure", async () => {
  let [running, most] = [0, 0];
  const make = (errno: number) => {
    const { rtnl, transport } = fakeRtnl(() => ({ errno }));
    const send = transport.sendAsync.bind(transport);
    transport.sendAsync = async (bytes) => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      return send(bytes);
    };
    return rtnl.executeAsync(deleteLink({ index: 1 }));
  };
  const outcomes = await Promise.allSettled([0, ENODEV, 0, ENODEV, 0, 0, 0].map(make));
  assert.deepEqual(
    outcomes.map(({ status }) => status === "fulfilled"),
    [true, false, true, false, true, true, true],
  );
  assert.equal(most, 3);
});

test("executeAsync() keeps the order of one connection's calls, whatever becomes of them", async () => {
  const order: string[] = [];
  const { rtnl, transport } = fakeRtnl(() => ({ errno: order.length === 1 ? ENODEV : 0 }));
  const send = transport.sendAsync.bind(transport);
  transport.sendAsync = async (bytes) => {
    const end = `end ${order.push("begin")}`;
    await new Promise(setImmediate);
    order.push(end);
    return send(bytes);
  };
  await Promise.allSettled([1, 2, 3].map((index) => rtnl.executeAsync(deleteLink({ index }))));
  assert.deepEqual(order, ["begin", "end 1", "begin", "end 3", "begin", "end 5"]);
});

test("a connection that is disposed closes when nothing runs on it any more", async () => {
  const { rtnl, transport } = fakeRtnl();
  const slow = rtnl.executeAsync(deleteLink({ index: 1 }));
  rtnl[Symbol.dispose]();
  assert.equal(transport.isClosed, false);
  await slow;
  await new Promise(setImmediate);
  assert.equal(transport.isClosed, true);
});

test("link() gives undefined for what is not there, and throws for everything else", () => {
  assert.equal(fakeRtnl(() => ({ errno: ENODEV })).rtnl.link("eth9"), undefined);
  const { rtnl } = fakeRtnl(() => ({ errno: EPERM }));
  assert.match(refused(() => rtnl.link("eth9")).message, /^Cannot get link eth9: Operation not permitted \(EPERM\)/);
});

test("routes() filters itself, too: a kernel without strict checking sends everything", () => {
  const objects = [
    newRoute({ family: 4, oif: 7, table: 1000, protocol: 112 }),
    newRoute({ family: 4, oif: 8, protocol: 112 }),
    newRoute({ family: 6, oif: 7 }),
  ];
  const { rtnl } = fakeRtnl(() => ({ objects }));
  assert.equal(rtnl.routes().length, 3);
  assert.equal(rtnl.routes({ table: 1000 }).length, 1);
  assert.equal(rtnl.routes({ oif: 7 }).length, 2);
  assert.equal(rtnl.routes({ family: 6 }).length, 1);
  assert.equal(rtnl.routes({ protocol: 112, oif: 8 }).length, 1);
});

test("routes() of a table that nobody made yet is empty; other errors are errors", () => {
  const { rtnl } = fakeRtnl(() => ({ errno: ENOENT }));
  assert.deepEqual(rtnl.routes({ table: 1000 }), []);
  assert.equal(refused(() => rtnl.routes()).code, "ENOENT");
});

test("the predicates know an error by its code, whatever class it is of", () => {
  const of = (code: string): Error => new SyscallError("mount", 1, code, "words", "/mnt");
  assert.equal(of("EPERM").message, "Cannot mount /mnt: words (EPERM)");
  const said = (error: unknown): boolean[] =>
    [isNotFound, isAlreadyExists, isPermission, isUnsupported].map((is) => is(error));
  assert.deepEqual(said(of("ESRCH")), [true, false, false, false]);
  assert.deepEqual(said(of("EEXIST")), [false, true, false, false]);
  assert.deepEqual(said(of("EPERM")), [false, false, true, false]);
  assert.deepEqual(said(of("EOPNOTSUPP")), [false, false, false, true]);
  for (const other of [of("EINVAL"), new Error("ENOENT"), "ENOENT", undefined])
    assert.deepEqual(said(other), [false, false, false, false]);
});
