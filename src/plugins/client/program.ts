// The client, start to end:
//
//   _start → find CNI_COMMAND → connect ──failed──→ fallback: execve(node, [node, fallback, argv...], envp)
//                                  ↓                                 ↓ failed
//            argv[0] "\0" CNI_…=… "\0" … "\0"             error document, exit 1
//                                  ↓
//            stdin → socket, shutdown(SHUT_WR)
//                                  ↓
//            first byte of the reply = exit code, the rest → stdout
//
// Until connect() has succeeded nothing of stdin is read, so the fallback finds it whole.
import type { Assembler } from "./assembler.ts";

export interface ProgramTexts {
  readonly socketPath: string;
  readonly nodePath: string;
  readonly fallbackPath: string;
  /** The error documents for "neither the agent nor the fallback runs" and "the agent did not answer". */
  readonly unreachable: string;
  readonly noReply: string;
  /** How long to wait for the agent's answer. */
  readonly timeoutSeconds: number;
}

const BUFFER = 0x10000;
const SLOT = 16; // below the buffer: whether the verb is VERSION, which has no stdin to wait for
// include/linux/socket.h, include/uapi/asm-generic/socket.h, errno-base.h
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0x80001;
const SHUT_WR = 1;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const EINTR = 4;

const utf8 = new TextEncoder();

export function assembleClient(as: Assembler, texts: ProgramTexts): Uint8Array<ArrayBuffer> {
  const address = socketAddress(texts.socketPath);
  // The stack at entry: argc, argv[0], …, NULL, envp[0], …, NULL.    s0 = it, s1 = buffer, s2 = envp
  as.move("s0", "sp");
  as.subtract("sp", BUFFER);
  as.subtract("sp", SLOT);
  as.move("s1", "sp");
  as.add("s1", SLOT);
  as.load("s2", "s0", 0);
  for (let doubling = 0; doubling < 3; doubling++) as.add("s2", "s2");
  as.add("s2", "s0");
  as.add("s2", 16);

  // Without CNI_COMMAND a person called it: the fallback says what it is.
  as.move("s5", "s2");
  as.label("find");
  as.load("a0", "s5", 0);
  as.add("s5", 8);
  as.compare("a0", 0);
  as.jump("equal", "fallback");
  as.address("a1", "CNI_COMMAND=");
  as.call("starts_with");
  as.jump("notEqual", "find");
  as.subtract("s5", 8);
  as.load("a0", "s5", 0);
  as.address("a1", "CNI_COMMAND=VERSION");
  as.call("starts_with");
  as.store("sp", 0, "a2"); // 0 for VERSION

  as.move("a0", AF_UNIX);
  as.move("a1", SOCK_STREAM_CLOEXEC);
  as.move("a2", 0);
  as.systemCall("socket");
  as.compare("result", 0);
  as.jump("less", "fallback");
  as.move("s3", "result");
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    as.move("a0", "s3");
    as.move("a1", SOL_SOCKET);
    as.move("a2", option);
    as.address("a3", "timeout");
    as.move("a4", 16);
    as.systemCall("setsockopt");
  }
  as.label("connect");
  as.move("a0", "s3");
  as.address("a1", "address");
  as.move("a2", address.length);
  as.systemCall("connect");
  as.compare("result", -EINTR);
  as.jump("equal", "connect");
  as.compare("result", 0);
  as.jump("less", "fallback");

  as.load("s4", "s0", 8);
  as.call("measure");
  as.call("send_all");
  as.label("strings");
  as.load("s4", "s2", 0);
  as.add("s2", 8);
  as.compare("s4", 0);
  as.jump("equal", "end_of_strings");
  as.move("a0", "s4");
  as.address("a1", "CNI_");
  as.call("starts_with");
  as.jump("notEqual", "strings");
  as.call("measure");
  as.call("send_all");
  as.jump("always", "strings");
  as.label("end_of_strings");
  as.address("s4", "empty");
  as.move("s5", 1);
  as.call("send_all");
  as.load("a2", "sp", 0);
  as.compare("a2", 0);
  as.jump("equal", "end_of_stdin");

  as.label("stdin");
  as.move("a0", 0);
  as.call("read");
  as.compare("s5", 0);
  as.jump("lessOrEqual", "end_of_stdin");
  as.call("send_all");
  as.jump("always", "stdin");
  as.label("end_of_stdin");
  as.move("a0", "s3");
  as.move("a1", SHUT_WR);
  as.systemCall("shutdown");

  as.move("a0", "s3");
  as.call("read");
  as.compare("s5", 0);
  as.jump("lessOrEqual", "no_answer");
  as.loadByte("s2", "s4", 0);
  as.add("s4", 1);
  as.subtract("s5", 1);
  as.label("reply");
  as.call("write_all");
  as.move("a0", "s3");
  as.call("read");
  as.compare("s5", 0);
  as.jump("lessOrEqual", "exit");
  as.jump("always", "reply");
  as.label("exit");
  as.move("a0", "s2");
  as.systemCall("exit_group");

  // argv = [node, fallback, argv[0], …]: two pointers more, the second in the place of argc.
  as.label("fallback");
  as.move("s3", "s0");
  as.subtract("s3", 8);
  as.address("a0", "node");
  as.store("s3", 0, "a0");
  as.address("a1", "fallback_path");
  as.store("s3", 8, "a1");
  as.move("a1", "s3");
  as.move("a2", "s2");
  as.systemCall("execve");
  fail("unreachable", texts.unreachable);
  as.label("no_answer");
  fail("no_reply", texts.noReply);

  function fail(label: string, text: string): void {
    as.address("s4", label);
    as.move("s5", utf8.encode(text).length);
    as.call("write_all");
    as.move("a0", 1);
    as.systemCall("exit_group");
  }

  routines(as);
  as.data("address", address);
  as.data("timeout", timeval(texts.timeoutSeconds));
  as.data("CNI_", string("CNI_"));
  as.data("CNI_COMMAND=", string("CNI_COMMAND="));
  as.data("CNI_COMMAND=VERSION", string("CNI_COMMAND=VERSION"));
  as.data("empty", string(""));
  as.data("node", string(texts.nodePath));
  as.data("fallback_path", string(texts.fallbackPath));
  as.data("unreachable", utf8.encode(texts.unreachable));
  as.data("no_reply", utf8.encode(texts.noReply));
  return as.assemble();
}

function routines(as: Assembler): void {
  // "equal" when the string a0 begins with the string a1
  as.label("starts_with");
  as.loadByte("a2", "a1", 0);
  as.compare("a2", 0);
  as.jump("equal", "starts_with_end");
  as.loadByte("a3", "a0", 0);
  as.add("a0", 1);
  as.add("a1", 1);
  as.compare("a2", "a3");
  as.jump("equal", "starts_with");
  as.label("starts_with_end");
  as.ret();

  // s5 = bytes of the string s4 with its NUL
  as.label("measure");
  as.move("s5", "s4");
  as.label("measure_next");
  as.loadByte("a0", "s5", 0);
  as.add("s5", 1);
  as.compare("a0", 0);
  as.jump("notEqual", "measure_next");
  as.subtract("s5", "s4");
  as.ret();

  // s4, s5 = the bytes read from descriptor a0; s5 <= 0 at the end or on an error
  as.label("read");
  as.move("s4", "a0");
  as.label("read_again");
  as.move("a0", "s4");
  as.move("a1", "s1");
  as.move("a2", BUFFER);
  as.systemCall("read");
  as.compare("result", -EINTR);
  as.jump("equal", "read_again");
  as.move("s5", "result");
  as.move("s4", "s1");
  as.ret();

  // Sends s5 bytes at s4. An error is not told: the agent may have answered before it had read everything.
  as.label("send_all");
  as.compare("s5", 0);
  as.jump("lessOrEqual", "send_end");
  as.move("a0", "s3");
  as.move("a1", "s4");
  as.move("a2", "s5");
  as.move("a3", MSG_NOSIGNAL);
  as.move("a4", 0);
  as.move("a5", 0);
  as.systemCall("sendto");
  as.compare("result", -EINTR);
  as.jump("equal", "send_all");
  as.compare("result", 0);
  as.jump("less", "send_end");
  as.add("s4", "result");
  as.subtract("s5", "result");
  as.jump("always", "send_all");
  as.label("send_end");
  as.ret();

  // Writes s5 bytes at s4 to stdout, as far as it takes them.
  as.label("write_all");
  as.compare("s5", 0);
  as.jump("lessOrEqual", "write_end");
  as.move("a0", 1);
  as.move("a1", "s4");
  as.move("a2", "s5");
  as.systemCall("write");
  as.compare("result", -EINTR);
  as.jump("equal", "write_all");
  as.compare("result", 0);
  as.jump("less", "write_end");
  as.add("s4", "result");
  as.subtract("s5", "result");
  as.jump("always", "write_all");
  as.label("write_end");
  as.ret();
}

function string(text: string): Uint8Array {
  const bytes = utf8.encode(text);
  if (bytes.includes(0)) throw new RangeError(`Cannot put ${JSON.stringify(text)} into the client: it holds a NUL`);
  return Uint8Array.of(...bytes, 0);
}

/** struct sockaddr_un */
function socketAddress(path: string): Uint8Array {
  const bytes = string(path);
  if (bytes.length < 2 || bytes.length > 108)
    throw new RangeError(`Cannot use socket path ${JSON.stringify(path)}: want 1 to 107 bytes (unix(7))`);
  return Uint8Array.of(AF_UNIX, 0, ...bytes);
}

/** struct timeval, little endian, no microseconds */
function timeval(seconds: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, seconds, true);
  return bytes;
}
