import { check, close, sendto, socket } from "./sys.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0x80000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** sizeof(sockaddr_un.sun_path) */
const PATH_BYTES = 108;

/**
 * Tells systemd how the service is (sd_notify(3)): `READY=1`, `STOPPING=1`. Node itself has no Unix datagram sockets.
 * @param path $NOTIFY_SOCKET; `@` stands for the NUL of an abstract name
 * @returns false when nobody wants to know @throws {SyscallError}
 */
export function notifySupervisor(state: string, path: string | undefined = process.env.NOTIFY_SOCKET): boolean {
  if (!path) return false;
  const name = new TextEncoder().encode(path);
  if (!/^[/@]./.test(path) || name.length >= PATH_BYTES)
    throw new RangeError(
      `Cannot use NOTIFY_SOCKET ${path}: want an absolute path, or @ and a name, of at most 107 bytes`,
    );
  const isAbstract = path.startsWith("@");
  if (isAbstract) name[0] = 0;
  // A path ends in a NUL; an abstract name ends where the address does.
  const address = new Uint8Array(2 + name.length + (isAbstract ? 0 : 1));
  new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX;
  address.set(name, 2);
  const fd = check(socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), "open a socket for", "NOTIFY_SOCKET");
  try {
    const bytes = new TextEncoder().encode(state);
    check(sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length), "notify", path);
  } finally {
    close(fd);
  }
  return true;
}
