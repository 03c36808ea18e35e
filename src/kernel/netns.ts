import { access, closeSync, fstatSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { makeDirectories } from "./directory.ts";
import { check, mount, setns, umount2, unshare } from "./sys.ts";

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 0x1000;
const MNT_DETACH = 2;
// Of this thread: /proc/self/ns is the main thread's, which is another one in a Worker.
const OWN = "/proc/thread-self/ns/net";

/** A network namespace, held open by a descriptor: it lives at least as long as this object. */
export class NetNs implements Disposable {
  readonly fd: number;
  /** Where inNs() comes from and goes back to. */
  readonly home: NetNs | undefined;
  #file: { readonly ino: bigint; readonly dev: bigint } | undefined;
  #isOpen = true;

  private constructor(path: string, home?: NetNs) {
    this.fd = openSync(path, "r");
    this.home = home;
  }

  /** The namespace this thread is in. */
  static self(): NetNs {
    const self = new NetNs(OWN);
    self.#stat(); // now: who cannot come back must not ask a descriptor that is another file's by then
    return self;
  }

  /**
   * By file: /run/netns/NAME, /proc/PID/ns/net, a CNI_NETNS.
   * @param home the namespace this thread is in whenever it enters this one; spares inNs() looking
   */
  static open(path: string, home?: NetNs): NetNs {
    return new NetNs(path, home);
  }

  static ofPid(pid: number): NetNs {
    return new NetNs(`/proc/${pid}/ns/net`);
  }

  #stat(): { readonly ino: bigint; readonly dev: bigint } {
    this.#file ??= fstatSync(this.fd, { bigint: true });
    return this.#file;
  }

  /** Two NetNs are the same namespace when their inodes are equal. */
  get inode(): bigint {
    return this.#stat().ino;
  }

  /** Whether the file `path` is this namespace; false when it cannot be looked at. */
  isAt(path: string): boolean {
    try {
      const { ino, dev } = statSync(path, { bigint: true });
      return ino === this.#stat().ino && dev === this.#stat().dev;
    } catch {
      return false;
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

let isPoolPrimed = false;

/**
 * Starts libuv's threads where we are at home. They start with the first asynchronous call; were that inside a
 * window, all file and DNS work of the process would stay in the other namespace for ever. Starting them is
 * synchronous, so nothing has to be awaited.
 */
function primePool(): void {
  if (isPoolPrimed) return;
  isPoolPrimed = true;
  access("/", () => {});
}

function isHere(ns: NetNs): boolean {
  try {
    using here = NetNs.self();
    return here.inode === ns.inode;
  } catch {
    return false;
  }
}

/** Runs `f` and comes back to where this thread was, whatever `f` did to its network namespace. */
function andBack<T>(f: () => T): T {
  using home = NetNs.self();
  return andBackTo(home, f);
}

function andBackTo<T>(home: NetNs, f: () => T): T {
  primePool();
  try {
    return f();
  } finally {
    // In a namespace that is not ours every later call would configure the wrong machine: there is no going on. Whoever
    // lacks the right to come back lacked the right to leave, and is here still.
    if (setns(home.fd, CLONE_NEWNET) < 0 && !isHere(home)) process.abort();
  }
}

/**
 * Runs `f` with this thread in `ns`. Strictly synchronous: what `f` opens or spawns (sockets, /proc/sys files, child
 * processes) is in `ns`; what it would do later is not, so a promise is refused. Windows may nest.
 */
export function inNs<T>(ns: { readonly fd: number; readonly home?: NetNs | undefined }, f: () => T): T {
  if (f.constructor.name === "AsyncFunction") throw new TypeError("inNs: the function is async; nothing was run");
  const enter = (): T => {
    check(setns(ns.fd, CLONE_NEWNET), "enter the network namespace of descriptor", String(ns.fd));
    return f();
  };
  const result = ns.home ? andBackTo(ns.home, enter) : andBack(enter);
  if (isThenable(result)) {
    result.then(undefined, () => {});
    throw new TypeError("inNs: the function gave a promise, whose later steps would run in another namespace");
  }
  return result;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** `ip netns add`, on any path: a new namespace, its lo down, that lives until deleteNetNs(). EEXIST when `path` is there. */
export function createNetNs(path: string): void {
  makeDirectories(dirname(path));
  writeFileSync(path, "", { flag: "wx", mode: 0o444 });
  try {
    andBack(() => {
      check(unshare(CLONE_NEWNET), "make a network namespace for", path);
      check(mount(OWN, path, "none", MS_BIND, null), "bind-mount a network namespace on", path);
    });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** `ip netns attach`: gives a namespace a name; deleteNetNs() takes it away. EEXIST when `path` is there. */
export function nameNetNs(ns: NetNs, path: string): void {
  makeDirectories(dirname(path));
  writeFileSync(path, "", { flag: "wx", mode: 0o444 });
  const mounted = mount(`/proc/self/fd/${ns.fd}`, path, "none", MS_BIND, null);
  if (mounted < 0) rmSync(path, { force: true });
  check(mounted, "bind-mount a network namespace on", path);
}

/** A new namespace that has no name: it lives as long as something holds it. */
export function createUnnamedNetNs(): NetNs {
  return andBack(() => {
    check(unshare(CLONE_NEWNET), "make a network namespace");
    return NetNs.self();
  });
}

/** `ip netns del`; content when there is none. The namespace itself ends when the last process in it does. */
export function deleteNetNs(path: string): void {
  const EINVAL = 22;
  const ENOENT = 2;
  const result = umount2(path, MNT_DETACH);
  if (result < 0 && result !== -EINVAL && result !== -ENOENT) check(result, "unmount the network namespace", path);
  rmSync(path, { force: true });
}
