import { spawnSync } from "node:child_process";
import { closeSync, writeFileSync } from "node:fs";
import { inNs } from "./netns.ts";
import { check, type LibNftables, loadLibNftables, memfdCreate } from "./sys.ts";

/** Runs nft text in one namespace, whichever way nft is there. */
export interface NftEngine extends Disposable {
  readonly kind: "library" | "program";
  run(text: string, mode: { readonly dryRun?: boolean; readonly json?: boolean }): NftRun;
}

export interface NftRun {
  readonly ok: boolean;
  readonly output: string;
  readonly errorOutput: string;
}

type Namespace = { readonly fd: number };

// nftables/libnftables.h
const NFT_CTX_OUTPUT_HANDLE = 1 << 3;
const NFT_CTX_OUTPUT_JSON = 1 << 4;

/** libnftables in this process: some 0.1 ms a transaction, where a program costs 5 ms. */
export class LibraryEngine implements NftEngine {
  readonly kind = "library";
  readonly #library: LibNftables;
  #context: unknown;

  /** The context opens its netlink socket at once, so it belongs to `ns` for good and is used from outside. */
  constructor(library: LibNftables, ns: Namespace | undefined) {
    this.#library = library;
    this.#context = ns ? inNs(ns, () => library.newContext()) : library.newContext();
  }

  run(text: string, { dryRun = false, json = false }: { dryRun?: boolean; json?: boolean }): NftRun {
    const [library, context] = [this.#library, this.#context];
    if (context === undefined) throw new TypeError("Nft is closed");
    library.setDryRun(context, dryRun);
    library.setOutputFlags(context, json ? NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE : 0);
    const status = withFile(text, (path) => library.runFile(context, path));
    return { ok: status === 0, output: library.output(context), errorOutput: library.errorOutput(context) };
  }

  [Symbol.dispose](): void {
    if (this.#context !== undefined) this.#library.freeContext(this.#context);
    this.#context = undefined;
  }
}

/** `text` as a file in memory: of a text that comes from a buffer, libnftables does not say in which line it is wrong. */
function withFile<T>(text: string, f: (path: string) => T): T {
  const MFD_CLOEXEC = 1;
  const fd = check(memfdCreate("nft", MFD_CLOEXEC), "make a file in memory");
  try {
    writeFileSync(fd, text);
    return f(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

/** A listing of some 100,000 elements is 10 MB of JSON. */
const MAX_OUTPUT_BYTES = 1 << 30;

/** The `nft` program, started inside the namespace. */
export class ProgramEngine implements NftEngine {
  readonly kind = "program";
  readonly #program: string;
  readonly #ns: Namespace | undefined;

  constructor(program: string, ns: Namespace | undefined) {
    this.#program = program;
    this.#ns = ns;
  }

  run(text: string, { dryRun = false, json = false }: { dryRun?: boolean; json?: boolean }): NftRun {
    // Text comes by standard input, which nft reads as text only: `nft -j -f -` opens /dev/stdin again, and Node's
    // is a socket, which cannot be opened. Hence JSON by command line.
    const args = json ? ["--json", "--handle", text] : [...(dryRun ? ["--check"] : []), "--file", "-"];
    const spawn = (): ReturnType<typeof spawnSync> =>
      spawnSync(this.#program, args, {
        input: json ? "" : text,
        encoding: "utf8",
        maxBuffer: MAX_OUTPUT_BYTES,
        env: { PATH: process.env.PATH, LC_ALL: "C" },
      });
    const result = this.#ns ? inNs(this.#ns, spawn) : spawn();
    if (result.error) throw result.error;
    return { ok: result.status === 0, output: String(result.stdout), errorOutput: String(result.stderr) };
  }

  [Symbol.dispose](): void {}
}

export interface NftOptions {
  /** `auto`: libnftables when it is installed, else the `nft` program. */
  readonly engine?: "auto" | "library" | "program";
  /** By default libnftables.so.1, from wherever the system keeps libraries. */
  readonly libraryName?: string;
  /** By default `nft`, from PATH. */
  readonly programPath?: string;
}

/** The engine that `options` allow and this machine has; undefined when it has none. */
export function openEngine(ns: Namespace | undefined, options: NftOptions): NftEngine | undefined {
  const { engine = "auto", libraryName, programPath = "nft" } = options;
  const library = engine === "program" ? undefined : loadLibNftables(libraryName);
  if (library) return new LibraryEngine(library, ns);
  if (engine === "library" || !isRunnable(programPath)) return undefined;
  return new ProgramEngine(programPath, ns);
}

function isRunnable(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
}
