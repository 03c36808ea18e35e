// The reference plugin's directory, `<dataDir>/<network>`: a file an address, named after it and holding
// "containerID\r\nifname"; `last_reserved_ip.<set>`; and `lock`, which both plugins flock while they look and change.
import {
  closeSync,
  constants,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type IpAddress, ParseError, parseIp } from "../../formats/netip/index.ts";
import { isAlreadyExists, isNotFound, lockFile } from "../../kernel/index.ts";
import { currentBoot, removeOfEarlierBoots } from "./boot.ts";

export interface Owner {
  readonly containerId: string;
  readonly ifName: string;
}

const { O_CREAT, O_RDWR } = constants;
const MODE = 0o600;
// 4 ms at 250 Hz, 10 at 100 Hz; file systems of kernel 6.13 and later tell changes apart that are closer.
const CLOCK_TICK_MS = 20n;

interface Last {
  readonly fd: number;
  /** Of what is in it, as far as is known. */
  length: number;
}

/** Longer than any address and a line's end. */
const lastText = Buffer.alloc(64);

interface Directory {
  /** Of the folder, when `contents` was read: while it is the same nobody has added or removed a file… */
  mtime: bigint;
  /** …unless in the same tick of the kernel's clock. */
  isFresh: boolean;
  readonly contents: Map<IpAddress, string>;
}

// The agent serves one pod after another: without this each ADD would read every address file of the node.
const known = new Map<string, Directory>();

/** The addresses of one network. Obtained locked; everything is synchronous, so nobody of this process comes between. */
export class Reservations implements Disposable {
  readonly #path: string;
  readonly #lock: Disposable;
  readonly #directory: Directory;
  readonly #last = new Map<number, Last>();

  private constructor(path: string, lock: Disposable) {
    this.#path = path;
    this.#lock = lock;
    if (!known.has(path)) removeOfEarlierBoots(path, currentBoot());
    const seen = known.get(path) ?? { mtime: -1n, isFresh: false, contents: new Map() };
    known.set(path, seen);
    this.#directory = seen;
    const isSame = this.#mtime() === seen.mtime;
    if (!isSame) seen.contents.clear();
    if (!isSame || seen.isFresh) this.#read();
  }

  static async open(dataDir: string, network: string): Promise<Reservations> {
    const path = join(dataDir, network);
    const lock = await lockFile(join(path, "lock"), { holder: "another CNI call of this network", folderMode: 0o755 });
    try {
      return new Reservations(path, lock);
    } catch (e) {
      lock[Symbol.dispose]();
      throw e;
    }
  }

  /** The addresses a container's interface holds. Old files name no interface, and count when no other file matches. */
  of(owner: Owner): IpAddress[] {
    const full = contentOf(owner);
    const [exact, old]: [IpAddress[], IpAddress[]] = [[], []];
    for (const [ip, content] of this.#directory.contents)
      if (content === full) exact.push(ip);
      else if (content === owner.containerId) old.push(ip);
    return exact.length > 0 ? exact : old;
  }

  /** Every address with whoever holds it. */
  all(): (Owner & { readonly ip: IpAddress })[] {
    return [...this.#directory.contents].map(([ip, content]) => {
      const [containerId = "", ifName = ""] = content.split("\r\n");
      return { ip, containerId, ifName };
    });
  }

  /** An empty file is what a crash left of a plugin that writes after it creates: nobody holds that address. */
  isTaken(ip: IpAddress): boolean {
    return Boolean(this.#directory.contents.get(ip));
  }

  /** False when the address is taken. The file appears with its content, so a crash leaves none that is empty. */
  reserve(ip: IpAddress, owner: Owner): boolean {
    if (this.isTaken(ip)) return false;
    const temporary = join(this.#path, `.${ip}.new`);
    writeFileSync(temporary, contentOf(owner), { mode: MODE });
    if (this.#directory.contents.has(ip)) renameSync(temporary, join(this.#path, ip));
    else
      try {
        linkSync(temporary, join(this.#path, ip));
      } catch (e) {
        if (!isAlreadyExists(e)) throw e;
        return false;
      } finally {
        unlinkSync(temporary);
      }
    this.#directory.contents.set(ip, contentOf(owner));
    return true;
  }

  release(ip: IpAddress): void {
    try {
      unlinkSync(join(this.#path, ip));
    } catch (e) {
      if (!isNotFound(e)) throw e;
    }
    this.#directory.contents.delete(ip);
  }

  lastReserved(set: number): IpAddress | undefined {
    const last = this.#openLast(set);
    const length = readSync(last.fd, lastText, 0, lastText.length, 0);
    last.length = length;
    try {
      return parseIp(lastText.toString("latin1", 0, length).trim());
    } catch (e) {
      if (e instanceof ParseError) return undefined; // then the walk begins at the start
      throw e;
    }
  }

  /** Overwritten in place: truncating to nothing first makes ext4 write the file out at once, which takes milliseconds. */
  setLastReserved(set: number, ip: IpAddress): void {
    const last = this.#openLast(set);
    writeSync(last.fd, ip, 0);
    if (last.length > ip.length) ftruncateSync(last.fd, ip.length);
  }

  /** `last_reserved_ip.<set>`, made empty when it is missing. */
  #openLast(set: number): Last {
    let last = this.#last.get(set);
    if (!last) {
      last = {
        fd: openSync(join(this.#path, `last_reserved_ip.${set}`), O_RDWR | O_CREAT, MODE),
        length: Number.POSITIVE_INFINITY,
      };
      this.#last.set(set, last);
    }
    return last;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#last.values()) closeSync(fd);
    this.#directory.mtime = this.#mtime();
    this.#directory.isFresh = BigInt(Date.now()) - this.#directory.mtime / 1_000_000n < CLOCK_TICK_MS;
    this.#lock[Symbol.dispose]();
  }

  #mtime(): bigint {
    return statSync(this.#path, { bigint: true }).mtimeNs;
  }

  /** Adds the files that are not known yet, and forgets those that went. */
  #read(): void {
    const { contents } = this.#directory;
    const names = new Set(readdirSync(this.#path));
    for (const ip of contents.keys()) if (!names.has(ip)) contents.delete(ip);
    for (const name of names) {
      // Ours, and who held the lock while it was there is dead: or it would not be there.
      if (/^\..+\.new$/.test(name)) unlinkSync(join(this.#path, name));
      if (contents.has(name as IpAddress) || !/^[0-9a-f][0-9a-f.:]+$/.test(name)) continue;
      try {
        contents.set(parseIp(name), readFileSync(join(this.#path, name), "utf8").trim());
      } catch (e) {
        if (!isNotFound(e) && !(e instanceof ParseError)) throw e; // a file of somebody else's
      }
    }
  }
}

function contentOf({ containerId, ifName }: Owner): string {
  return `${containerId}\r\n${ifName}`;
}
