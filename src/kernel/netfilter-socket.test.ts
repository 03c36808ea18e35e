import assert from "node:assert/strict";
import { test } from "node:test";
import { NetfilterSocket } from "./netfilter-socket.ts";

const [NLMSG_NOOP, NLMSG_ERROR] = [1, 2];
const [NLM_F_REQUEST, NLM_F_ACK] = [1, 4];
const EIO = 5;

test("ask() passes over what is left of the answer to an earlier question", (t) => {
  using socket = new NetfilterSocket();
  const noop = { type: NLMSG_NOOP, flags: NLM_F_REQUEST | NLM_F_ACK, payload: new Uint8Array() };
  // 0 for root, EPERM for others.
  const errno = socket.ask(noop, "ask for nothing");
  const late = { type: NLMSG_ERROR, flags: 0, seq: 1, pid: 0, payload: new Uint8Array(Int32Array.of(-EIO).buffer) };
  t.mock.method(socket, "receive").mock.mockImplementationOnce(() => [{ ...late, type: 16 }, late]);
  const heard: number[] = [];
  assert.equal(
    socket.ask(noop, "ask for nothing again", ({ type }) => heard.push(type)),
    errno,
  );
  assert.deepEqual(heard, []);
});
