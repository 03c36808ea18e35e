// System calls through koffi. The only file that knows the FFI library; each door beside it adds the calls it needs here.
//
// Every call answers as the kernel itself does: the result, or the negated errno. The errno is read before any other
// code of ours runs, because the next libc call (a console.log is enough) overwrites it. `check` turns a negative
// result into a SyscallError.
//
// A pointer argument takes a Uint8Array, whose memory stays valid for the duration of the call only. Memory whose
// *address* is stored in another structure (msghdr, iovec, bpf_attr) must come from `mapMemory`: the garbage collector
// moves and frees what it cannot see.

import { constants } from "node:os";
import koffi from "koffi";
import { SyscallError } from "./errors.ts";

/** Memory for a call to read or write; `null` is NULL. */
type Memory = Uint8Array | null;
type Call<A extends unknown[]> = (...args: A) => number;

// null: the program itself, which holds the C library, whichever it is, and libuv.
const libc = koffi.load(null);

/** A libc function whose failure is -1 and errno, as one that answers -errno. */
function call<A extends unknown[]>(declaration: string): Call<A> {
  const f = libc.func(declaration);
  return (...args) => {
    const result: number = f(...args);
    return result < 0 ? -koffi.errno() : result;
  };
}

export const socket: Call<[domain: number, type: number, protocol: number]> = call("int socket(int, int, int)");
export const bind: Call<[fd: number, address: Memory, length: number]> = call("int bind(int, const void *, uint32_t)");
export const getsockname: Call<[fd: number, address: Uint8Array, length: Uint8Array]> = call(
  "int getsockname(int, void *, void *)",
);
export const connect: Call<[fd: number, address: Uint8Array, length: number]> = call(
  "int connect(int, const void *, uint32_t)",
);
export const listen: Call<[fd: number, backlog: number]> = call("int listen(int, int)");
export const accept: Call<[fd: number, address: Memory, length: Memory]> = call("int accept(int, void *, void *)");
export const send: Call<[fd: number, bytes: Uint8Array, length: number, flags: number]> = call(
  "long send(int, const void *, size_t, int)",
);
export const sendto: Call<
  [fd: number, bytes: Uint8Array, length: number, flags: number, address: Memory, addressLength: number]
> = call("long sendto(int, const void *, size_t, int, const void *, uint32_t)");
export const recv: Call<[fd: number, buffer: Memory, length: number, flags: number]> = call(
  "long recv(int, void *, size_t, int)",
);
export const recvfrom: Call<
  [fd: number, buffer: Memory, length: number, flags: number, address: Memory, addressLength: Memory]
> = call("long recvfrom(int, void *, size_t, int, void *, void *)");
/** `header` is the address of a `struct msghdr` in memory of mapMemory(). */
export const recvmsg: Call<[fd: number, header: number, flags: number]> = call("long recvmsg(int, uintptr_t, int)");
/** `headers` is the address of `count` times `struct mmsghdr` in memory of mapMemory(). Gives how many were sent. */
export const sendmmsg: Call<[fd: number, headers: number, count: number, flags: number]> = call(
  "int sendmmsg(int, uintptr_t, unsigned int, int)",
);
/** Gives how many arrived; with MSG_DONTWAIT the timeout, a NULL here, means nothing. */
export const recvmmsg: Call<[fd: number, headers: number, count: number, flags: number, timeout: null]> = call(
  "int recvmmsg(int, uintptr_t, unsigned int, int, void *)",
);
/** read() into memory of mapMemory(). */
export const readInto: Call<[fd: number, address: number, length: number]> = call("long read(int, uintptr_t, size_t)");
/** `vectors` is the address of `count` times `struct iovec` in memory of mapMemory(). */
export const writev: Call<[fd: number, vectors: number, count: number]> = call("long writev(int, uintptr_t, int)");
/** `descriptors` is the address of `count` times `struct pollfd` in memory of mapMemory(). Blocks this thread. */
export const poll: Call<[descriptors: number, count: number, timeoutMs: number]> = call(
  "int poll(uintptr_t, unsigned long, int)",
);
export const setsockopt: Call<[fd: number, level: number, option: number, value: Memory, length: number]> = call(
  "int setsockopt(int, int, int, const void *, uint32_t)",
);
export const getsockopt: Call<[fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array]> =
  call("int getsockopt(int, int, int, void *, void *)");
export const setns: Call<[fd: number, type: number]> = call("int setns(int, int)");
export const unshare: Call<[flags: number]> = call("int unshare(int)");
export const mount: Call<
  [source: string | null, target: string, type: string | null, flags: number, data: string | null]
> = call("int mount(const char *, const char *, const char *, unsigned long, const char *)");
export const umount2: Call<[target: string, flags: number]> = call("int umount2(const char *, int)");
export const close: Call<[fd: number]> = call("int close(int)");
export const flock: Call<[fd: number, operation: number]> = call("int flock(int, int)");
export const memfdCreate: Call<[name: string, flags: number]> = call("int memfd_create(const char *, unsigned int)");
/** `pid` 0 is this thread; programs it starts inherit its processors. `mask` has bit n for CPU n. */
export const schedSetaffinity: Call<[pid: number, length: number, mask: Uint8Array]> = call(
  "int sched_setaffinity(int, size_t, const void *)",
);
export const pipe2: Call<[fds: Uint8Array, flags: number]> = call("int pipe2(void *, int)");
export const waitpid: Call<[pid: number, status: Uint8Array, options: number]> = call("int waitpid(int, void *, int)");

const posixSpawnRaw = libc.func(
  "int posix_spawn(void *, const char *, const void *, const void *, const char **, const char **)",
);
const fileActionsInit = libc.func("int posix_spawn_file_actions_init(void *)");
const fileActionsDestroy = libc.func("int posix_spawn_file_actions_destroy(void *)");
const fileActionsAddDup2 = libc.func("int posix_spawn_file_actions_adddup2(void *, int, int)");

/**
 * Starts a program with three descriptors as its 0, 1 and 2; reap it with waitpid. Unlike fork, which Node's own spawn
 * uses, it does not copy our page tables: it costs the same however large this process is.
 *
 * @returns the process, or the negated errno
 */
export function posixSpawn(
  path: string,
  argv: readonly string[],
  env: readonly string[],
  stdio: readonly [number, number, number],
): number {
  // Opaque: 80 bytes with glibc and with musl.
  const actions = new Uint8Array(256);
  const pid = new Uint8Array(4);
  fileActionsInit(actions);
  try {
    for (const [target, fd] of stdio.entries()) fileActionsAddDup2(actions, fd, target);
    const errno: number = posixSpawnRaw(pid, path, actions, null, [...argv, null], [...env, null]);
    return errno === 0 ? new DataView(pid.buffer).getInt32(0, true) : -errno;
  } finally {
    fileActionsDestroy(actions);
  }
}

export const ioctl: Call<[fd: number, request: number, argument: Uint8Array]> = call(
  "int ioctl(int, unsigned long, void *)",
);
/** An ioctl whose argument is a number and no memory. */
export const ioctlNumber: Call<[fd: number, request: number, argument: number]> = call(
  "int ioctl(int, unsigned long, unsigned long)",
);
/** `time` receives a `struct timespec`. */
export const clockGettime: Call<[clock: number, time: Uint8Array]> = call("int clock_gettime(int, void *)");

// The new mount API has no wrapper in older C libraries; these numbers are the same on every architecture.
const [FSOPEN, FSCONFIG, FSMOUNT] = [430, 431, 432];
const fsopenRaw: Call<[number, string, number]> = call("long syscall(long, const char *, unsigned int)");
const fsconfigRaw: Call<[number, number, number, null, null, number]> = call(
  "long syscall(long, int, unsigned int, const char *, const void *, int)",
);
const fsmountRaw: Call<[number, number, number, number]> = call("long syscall(long, int, unsigned int, unsigned int)");

/**
 * A mount of a file system (fsopen, FSCONFIG_CMD_CREATE, fsmount) that is attached nowhere: nobody else sees it, it is
 * reached through its descriptor, and ends with that. A descriptor or a negated errno.
 */
export function mountDetached(type: string): number {
  const [CLOEXEC, FSCONFIG_CMD_CREATE] = [1, 6];
  const context = fsopenRaw(FSOPEN, type, CLOEXEC);
  if (context < 0) return context;
  const created = fsconfigRaw(FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0);
  const mounted = created < 0 ? created : fsmountRaw(FSMOUNT, context, CLOEXEC, 0);
  close(context);
  return mounted;
}

const sendRaw = libc.func("long send(int, const void *, size_t, int)");

/**
 * send() on a thread of libuv's pool, for a send that makes the kernel work for long. What errno was is not known
 * here, so a failure is only -1. `bytes` must not change until the callback.
 */
export function sendAsync(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    // The callback's closure over `bytes` is what keeps it alive while the other thread reads it.
    sendRaw.async(fd, bytes, bytes.length, 0, (error: unknown, sent: number) =>
      error ? reject(error) : resolve(bytes.length > 0 ? sent : 0),
    );
  });
}

const strerrorRaw = libc.func("const char *strerror(int)");

/** libc's words for an errno: "File exists". */
export function strerror(errno: number): string {
  return strerrorRaw(errno);
}

const codes = new Map<number, string>(
  // The first name of a number wins: EAGAIN, not EWOULDBLOCK. libc's EOPNOTSUPP and ENOTSUP are one number too.
  Object.entries(constants.errno)
    .reverse()
    .map(([code, errno]) => [errno, code]),
).set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP");

/** `EEXIST` for 17. */
export function errnoCode(errno: number): string {
  return codes.get(errno) ?? `errno ${errno}`;
}

/** Passes a result on; turns a negated errno into a SyscallError that says `Cannot <what> <on>: …`. */
export function check(result: number, what: string, on?: string): number {
  if (result < 0) throw new SyscallError(what, -result, errnoCode(-result), strerror(-result), on);
  return result;
}

const mmapRaw = libc.func("uintptr_t mmap(uintptr_t, size_t, int, int, int, long)");
const munmapRaw = libc.func("int munmap(uintptr_t, size_t)");

/** Memory at an address that never moves. Unmap it only when nothing looks at `bytes` any more. */
export interface MappedMemory {
  readonly address: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  unmap(): void;
}

/** Maps anonymous memory, or (with `fd`) what a device or socket offers to map. */
export function mapMemory(length: number, fd?: number): MappedMemory {
  const PROT_READ_WRITE = 3;
  const flags = fd === undefined ? 0x22 /* MAP_PRIVATE | MAP_ANONYMOUS */ : 0x1; /* MAP_SHARED */
  const address = Number(mmapRaw(0, length, PROT_READ_WRITE, flags, fd ?? -1, 0));
  // MAP_FAILED is (void *)-1, which no longer is -1 once it went through an unsigned number.
  if (address >= 2 ** 63) check(-koffi.errno(), "mmap", `${length} bytes`);
  const bytes = new Uint8Array(koffi.view(BigInt(address), length));
  return { address, bytes, unmap: () => void munmapRaw(address, length) };
}

const SOL_SOCKET = 1;
const SO_ERROR = 4;

/** Takes a socket's pending error, which clears it. 0 when there is none, or when `fd` is no socket. */
export function takeSocketError(fd: number): number {
  const value = new Uint8Array(4);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, value, Uint8Array.of(4, 0, 0, 0)) < 0) return 0;
  return new DataView(value.buffer).getInt32(0, true);
}

/** Why a watch had to be restarted: the socket's pending errno, 0 when it has none (a device that is down). */
export type OnWatchError = (errno: number) => void;

// libuv's handle belongs to a JavaScript object that need not be referred to from anywhere: one that is collected takes
// its events along without a word. What is in here stays.
const watching = new Set<object>();

/** How long a watch waits before it starts again after its `failures`-th error in a row. */
export function watchBackoffMs(failures: number): number {
  return failures <= 3 ? 0 : Math.min(1000, 2 ** (failures - 3));
}

/**
 * Calls `onReadable` while `fd` has something to read (level-triggered: read until EAGAIN, or be called again), and
 * `onError` when the socket reported an error; after that something may have been missed. Makes `fd` non-blocking.
 */
export function watch(fd: number, onReadable: () => void, onError: OnWatchError = () => {}): Disposable {
  let closed = false;
  let announced = false;
  let failures = 0;
  let restart: NodeJS.Timeout | undefined;

  // libuv stops the handle on POLLERR and says EBADF, whatever the error is: a netlink overflow, a refused datagram, a
  // device that went down. It has to be started again. While the error stays (a TUN device that is down has POLLERR
  // for as long as it is), each start fails at once: hence the growing pause.
  const onPoll = (status: unknown): void => {
    if (closed) return;
    if (Number(status) < 0) {
      failures++;
      const errno = takeSocketError(fd);
      restart = setTimeout(() => handle.start({ readable: true }, onPoll), watchBackoffMs(failures));
      setImmediate(() => closed || onError(errno));
      return;
    }
    failures = 0;
    if (announced) return;
    announced = true;
    // Not called from here: Node 26 runs no microtasks after a callback of koffi's, so that an await in the reader
    // would hang; and an exception would have nobody to go to.
    setImmediate(() => {
      announced = false;
      if (!closed) onReadable();
    });
  };
  const handle = koffi.node.poll(fd, { readable: true }, onPoll);
  watching.add(handle);
  return {
    [Symbol.dispose]: () => {
      if (closed) return;
      closed = true;
      clearTimeout(restart);
      watching.delete(handle);
      handle.close();
    },
  };
}

/** What we use of libnftables (libnftables(3)). A context is used by one thread at a time; ours all by the main one. */
export interface LibNftables {
  readonly newContext: () => unknown;
  readonly freeContext: (context: unknown) => void;
  /** 0, or -1 and the reason in errorOutput(). */
  readonly runFile: (context: unknown, path: string) => number;
  readonly output: (context: unknown) => string;
  readonly errorOutput: (context: unknown) => string;
  readonly setOutputFlags: (context: unknown, flags: number) => void;
  readonly setDryRun: (context: unknown, isDryRun: boolean) => void;
}

const libraries = new Map<string, LibNftables | undefined>();

/** Loads libnftables; undefined when it is not installed. */
export function loadLibNftables(name = "libnftables.so.1"): LibNftables | undefined {
  if (!libraries.has(name)) libraries.set(name, bindLibNftables(name));
  return libraries.get(name);
}

function bindLibNftables(name: string): LibNftables | undefined {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load(name);
  } catch {
    return undefined;
  }
  const newContext = library.func("void *nft_ctx_new(uint32_t)");
  const bufferOutput = library.func("int nft_ctx_buffer_output(void *)");
  const bufferError = library.func("int nft_ctx_buffer_error(void *)");
  return {
    newContext: () => {
      const context: unknown = newContext(0);
      if (!context || bufferOutput(context) !== 0 || bufferError(context) !== 0)
        throw new SyscallError("open libnftables", koffi.errno(), errnoCode(koffi.errno()), strerror(koffi.errno()));
      return context;
    },
    freeContext: library.func("void nft_ctx_free(void *)"),
    runFile: library.func("int nft_run_cmd_from_filename(void *, const char *)"),
    output: library.func("const char *nft_ctx_get_output_buffer(void *)"),
    errorOutput: library.func("const char *nft_ctx_get_error_buffer(void *)"),
    setOutputFlags: library.func("void nft_ctx_output_set_flags(void *, unsigned int)"),
    setDryRun: library.func("void nft_ctx_set_dry_run(void *, bool)"),
  };
}
