import { SyscallError } from "./errors.ts";
import { inNs, type NetNs } from "./netns.ts";
import { accept, bind, check, close, connect, getsockopt, listen, recv, send, socket } from "./sys.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EPERM = 1;

/**
 * An abstract Unix socket (unix(7)): a name in a network namespace rather than a file, which goes with its owner. It has
 * no permissions, so both ends look who the other one is.
 */
export function listenAbstract(name: string): number {
  const fd = check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "open a Unix socket");
  const address = abstractAddress(name);
  const result = bind(fd, address, address.length);
  if (result < 0) close(fd);
  check(result, "listen on abstract socket", name);
  check(listen(fd, 4), "listen on abstract socket", name);
  return fd;
}

/** A connection, not blocking; a negated errno when there is none to take. One of another user is closed. */
export function acceptOwn(fd: number): number {
  const connection = accept(fd, null, null);
  if (connection < 0 || peerUser(connection) === process.geteuid?.()) return connection;
  close(connection);
  return -EPERM;
}

/**
 * Connects to the socket of that name in `ns`. Undefined: nobody listens there.
 * @throws {SyscallError} EPERM when it is another user's
 */
export function connectAbstract(name: string, ns?: NetNs): number | undefined {
  const open = (): number => socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const fd = check(ns ? inNs(ns, open) : open(), "open a Unix socket");
  const address = abstractAddress(name);
  if (connect(fd, address, address.length) < 0) {
    close(fd);
    return undefined;
  }
  const user = peerUser(fd);
  if (user === process.geteuid?.()) return fd;
  close(fd);
  throw new SyscallError("trust abstract socket", EPERM, "EPERM", `it is that of user ${user}`, name);
}

/** How many bytes there were, 0 when the other end has gone, or a negated errno: EAGAIN nothing yet. */
export function receiveBytes(fd: number, buffer: Uint8Array): number {
  return recv(fd, buffer, buffer.length, MSG_DONTWAIT);
}

/** How many of the bytes were taken, or a negated errno. */
export function sendBytes(fd: number, bytes: Uint8Array): number {
  return send(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

export function closeDescriptor(fd: number): void {
  close(fd);
}

function abstractAddress(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const address = new Uint8Array(3 + text.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(text, 3);
  return address;
}

function peerUser(fd: number): number {
  // struct ucred: pid, uid, gid.
  const credentials = new Uint8Array(12);
  check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, Uint8Array.of(12, 0, 0, 0)), "ask who the peer is");
  return new DataView(credentials.buffer).getUint32(4, true);
}
