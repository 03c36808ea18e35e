// The ping-pong: one byte there, one byte back, with blocking system calls and nothing else in between. Node's own
// sockets would add an event loop's turn, several times what a packet costs, to each side.
//
// TCP_RR: one connection, many transactions. UDP_RR: the same over datagrams. TCP_CRR: a new connection for each.
import {
  accept,
  bind,
  check,
  close,
  connect,
  getsockname,
  listen,
  recv,
  recvfrom,
  send,
  setsockopt,
  socket,
} from "../dist/kernel/sys.js";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
const SO_RCVTIMEO = 20;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;

const PING = Uint8Array.of(0x2e);
/** The last message of a session that has no connection whose end would tell. */
const BYE = Uint8Array.of(0x71, 0x71);
/** So long may either side wait before it calls the path broken. */
const PATIENCE_MS = 5000;
const LOST_MS = 200;

/** @typedef {"tcp_rr" | "udp_rr" | "tcp_crr"} Mode */

/**
 * Serves one session. `onListening` is told the port as soon as a client may come.
 * @param {Mode} mode @param {(port: number) => void} onListening
 */
export function serve(mode, onListening) {
  const fd = open(mode === "udp_rr" ? SOCK_DGRAM : SOCK_STREAM);
  try {
    check(bind(fd, socketAddress("0.0.0.0", 0), 16), "bind", "any port");
    if (mode !== "udp_rr") check(listen(fd, 128), "listen");
    onListening(portOf(fd));
    if (mode === "tcp_rr") serveConnection(fd);
    else if (mode === "udp_rr") serveDatagrams(fd);
    else serveConnections(fd);
  } finally {
    close(fd);
  }
}

function serveConnection(listener) {
  const fd = check(retried(accept, listener, null, null), "accept", "the client's connection");
  try {
    noDelay(fd);
    setTimeoutOf(fd, PATIENCE_MS);
    const buffer = new Uint8Array(16);
    for (;;) {
      const length = check(retried(recv, fd, buffer, 16, 0), "recv", "the client's byte");
      if (length === 0) return;
      check(send(fd, buffer, length, MSG_NOSIGNAL), "send", "the answer");
    }
  } finally {
    close(fd);
  }
}

function serveDatagrams(fd) {
  const buffer = new Uint8Array(16);
  const from = new Uint8Array(16);
  const length = check(retried(recvfrom, fd, buffer, 16, 0, from, Uint8Array.of(16, 0, 0, 0)), "recv", "a datagram");
  // Connected, so that the rest needs no address: each of them would be copied and looked up.
  check(connect(fd, from, 16), "connect", "to the client");
  check(send(fd, buffer, length, MSG_NOSIGNAL), "send", "the answer");
  for (;;) {
    if (check(retried(recv, fd, buffer, 16, 0), "recv", "a datagram") === BYE.length) return;
    check(send(fd, buffer, 1, MSG_NOSIGNAL), "send", "the answer");
  }
}

function serveConnections(listener) {
  const buffer = new Uint8Array(16);
  for (;;) {
    const fd = check(retried(accept, listener, null, null), "accept", "the client's connection");
    // A client that gives up resets the connection; the next one is another matter.
    const length = retried(recv, fd, buffer, 16, 0);
    if (length > 0) send(fd, buffer, 1, MSG_NOSIGNAL);
    close(fd);
    if (length === BYE.length) return;
  }
}

/**
 * @typedef {object} Session
 * @property {number} perSecond transactions
 * @property {number} p50 µs
 * @property {number} p99 µs
 * @property {number} lost datagrams without an answer
 */

/** Plays one session of `milliseconds`. @param {Mode} mode @param {string} host @param {number} port @returns {Session} */
export function play(mode, host, port, milliseconds) {
  const address = socketAddress(host, port);
  if (mode === "tcp_crr") return playConnections(address, host, milliseconds);
  const fd = open(mode === "udp_rr" ? SOCK_DGRAM : SOCK_STREAM);
  try {
    check(connect(fd, address, 16), "connect", `to ${host}:${port}`);
    if (mode === "tcp_rr") noDelay(fd);
    else setTimeoutOf(fd, LOST_MS);
    const buffer = new Uint8Array(16);
    let lost = 0;
    const session = timed(milliseconds, () => {
      for (;;) {
        check(send(fd, PING, 1, MSG_NOSIGNAL), "send", `to ${host}`);
        const length = retried(recv, fd, buffer, 16, 0);
        if (length === 1) return;
        if (mode !== "udp_rr" || length !== -EAGAIN) check(length || -104, "recv", `from ${host}`);
        if (++lost > 20) throw new Error(`Cannot play UDP with ${host}: ${lost} datagrams had no answer`);
      }
    });
    if (mode === "udp_rr") check(send(fd, BYE, BYE.length, MSG_NOSIGNAL), "send", `to ${host}`);
    return { ...session, lost };
  } finally {
    close(fd);
  }
}

function playConnections(address, host, milliseconds) {
  const buffer = new Uint8Array(16);
  const transaction = (message) => {
    const fd = open(SOCK_STREAM);
    check(connect(fd, address, 16), "connect", `to ${host}`);
    check(send(fd, message, message.length, MSG_NOSIGNAL), "send", `to ${host}`);
    check(retried(recv, fd, buffer, 16, 0) || -104, "recv", `from ${host}`);
    // Reset, not closed: thousands of connections a second in TIME_WAIT would use up the client's ports.
    setsockopt(fd, SOL_SOCKET, SO_LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 8);
    close(fd);
  };
  const session = timed(milliseconds, () => transaction(PING));
  transaction(BYE);
  return { ...session, lost: 0 };
}

const MAX_SAMPLES = 1 << 20;

/** Repeats `transaction` for `milliseconds`, timing each. */
function timed(milliseconds, transaction) {
  const samples = new Float64Array(MAX_SAMPLES);
  const start = performance.now();
  let [before, count] = [start, 0];
  while (before - start < milliseconds && count < MAX_SAMPLES) {
    transaction();
    const now = performance.now();
    samples[count++] = now - before;
    before = now;
  }
  const sorted = samples.subarray(0, count).sort();
  const at = (q) => sorted[Math.floor(q * (count - 1))] * 1000;
  return { perSecond: (count * 1000) / (before - start), p50: at(0.5), p99: at(0.99) };
}

/** What a system call costs from here without the kernel's work: a recv() on a descriptor that is none. @returns {number} µs */
export function callOverhead() {
  const buffer = new Uint8Array(1);
  const calls = 5000;
  const runs = Array.from({ length: 20 }, () => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) recv(-1, buffer, 1, 0);
    return ((performance.now() - start) * 1000) / calls;
  });
  // The first runs are not compiled yet, and others may have had the CPU in some.
  return Math.min(...runs);
}

function open(type) {
  const fd = check(socket(AF_INET, type, 0), "open a socket");
  setTimeoutOf(fd, PATIENCE_MS);
  return fd;
}

function noDelay(fd) {
  check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, Uint8Array.of(1, 0, 0, 0), 4), "set TCP_NODELAY");
}

function setTimeoutOf(fd, milliseconds) {
  const timeval = new BigInt64Array([BigInt(Math.floor(milliseconds / 1000)), BigInt(milliseconds % 1000) * 1000n]);
  check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(timeval.buffer), 16), "set SO_RCVTIMEO");
}

/** A call that a signal interrupted is made again. */
function retried(call, ...args) {
  for (;;) {
    const result = call(...args);
    if (result !== -EINTR) return result;
  }
}

/** A `struct sockaddr_in`. */
function socketAddress(host, port) {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  bytes.set(host.split(".").map(Number), 4);
  return bytes;
}

function portOf(fd) {
  const address = new Uint8Array(16);
  check(getsockname(fd, address, Uint8Array.of(16, 0, 0, 0)), "read the port of a socket");
  return new DataView(address.buffer).getUint16(2);
}
