import { readFileSync } from "node:fs";
import type { IpFamily } from "../formats/netip/index.ts";
import { inNs } from "./netns.ts";
import { findProgram, type ProgramResult, runProgram } from "./program.ts";

/** `nft`: the rules are nf_tables objects (tables ip nat, ip filter); `legacy`: x_tables, invisible to nftables. */
export type IptablesVariant = "nft" | "legacy";

/** iptables could not be found, or refused something. */
export class IptablesError extends Error {
  override name = "IptablesError";
  /** What it said, or undefined when it is not installed. */
  readonly reason: string | undefined;

  constructor(message: string, reason?: string) {
    super(message);
    this.reason = reason;
  }
}

type Namespace = { readonly fd: number };

interface Programs {
  readonly save: string;
  readonly restore: string;
}

/** How long iptables-restore waits for another program that holds /run/xtables.lock. */
const LOCK_WAIT_S = 10;
const TIMEOUT_MS = 30_000;
/** The first iptables-restore that can wait, and the first with --random-fully. */
const RESTORE_WAITS = [1, 6, 2] as const;
const RANDOM_FULLY = [1, 6, 2] as const;

/** One family's iptables, in one network namespace, by the programs: the only way to x_tables that all versions share. */
export class Iptables {
  readonly family: IpFamily;
  readonly variant: IptablesVariant;
  /** `1.8.9` */
  readonly version: string;
  readonly #programs: Programs;
  readonly #ns: Namespace | undefined;
  readonly #number: readonly number[];

  private constructor(about: Pick<Iptables, "family" | "variant" | "version">, programs: Programs, ns?: Namespace) {
    this.family = about.family;
    this.variant = about.variant;
    this.version = about.version;
    this.#number = about.version.split(".").map(Number);
    this.#programs = programs;
    this.#ns = ns;
  }

  /**
   * The system's iptables, or the one of a variant (`iptables-legacy`); undefined when a variant asked for by name is
   * not installed. @throws {IptablesError} when the system has none, or it does not run
   */
  static async open(family: IpFamily, options?: { readonly ns?: Namespace | undefined }): Promise<Iptables>;
  static async open(
    family: IpFamily,
    options: { readonly ns?: Namespace | undefined; readonly variant: IptablesVariant },
  ): Promise<Iptables | undefined>;
  static async open(
    family: IpFamily,
    { ns, variant }: { readonly ns?: Namespace | undefined; readonly variant?: IptablesVariant } = {},
  ): Promise<Iptables | undefined> {
    const name = `${family === 4 ? "iptables" : "ip6tables"}${variant ? `-${variant}` : ""}`;
    const names = [name, `${name}-save`, `${name}-restore`];
    const [program, save, restore] = names.map((each) => findProgram(each));
    if (!program || !save || !restore) {
      if (variant) return undefined;
      throw new IptablesError(
        `Cannot use iptables: of ${names.join(", ")} not all are in PATH (Debian, Ubuntu: apt-get install iptables)`,
      );
    }
    const { stdout, stderr, exitCode } = await run(program, { args: ["--version"], ns });
    const [, version, kind] = /v(\d+(?:\.\d+)+)(?: \((\w+)\))?/.exec(stdout) ?? [];
    if (exitCode !== 0 || version === undefined)
      throw new IptablesError(`Cannot ask ${program} for its version: ${words(stderr || stdout)}`, words(stderr));
    // Before 1.8 there was one variant, and it did not say so.
    const about = { family, version, variant: kind === "nf_tables" ? "nft" : "legacy" } as const;
    return new Iptables(about, { save, restore }, ns);
  }

  get hasRandomFully(): boolean {
    return isSince(this.#number, RANDOM_FULLY);
  }

  /** All tables that are in use, as iptables-save prints them. @throws {IptablesError} */
  async save(): Promise<string> {
    const { save } = this.#programs;
    const result = await run(save, { ns: this.#ns });
    refuse(result, `list the rules with ${save}`);
    return result.stdout;
  }

  /** Carries out the lines of `text`, each table as a whole, and leaves all else. @throws {IptablesError} */
  async restore(text: string): Promise<void> {
    const { restore } = this.#programs;
    const args = ["--noflush", ...(isSince(this.#number, RESTORE_WAITS) ? [`--wait=${LOCK_WAIT_S}`] : [])];
    const result = await run(restore, { args, ns: this.#ns, input: text });
    refuse(result, `change the rules with ${restore}`, text);
  }
}

function isSince(version: readonly number[], first: readonly number[]): boolean {
  const at = first.findIndex((part, i) => (version[i] ?? 0) !== part);
  return at < 0 || (version[at] ?? 0) > (first[at] ?? 0);
}

function run(
  program: string,
  options: { args?: string[]; ns?: Namespace | undefined; input?: string },
): Promise<ProgramResult> {
  const { PATH = "", XTABLES_LOCKFILE, XTABLES_LIBDIR } = process.env;
  const env = {
    PATH,
    LC_ALL: "C",
    ...(XTABLES_LOCKFILE !== undefined && { XTABLES_LOCKFILE }),
    ...(XTABLES_LIBDIR !== undefined && { XTABLES_LIBDIR }),
  };
  return runProgram(program, { ...options, env, timeoutMs: TIMEOUT_MS });
}

function refuse({ exitCode, isTimedOut, stderr }: ProgramResult, what: string, text?: string): void {
  if (exitCode === 0) return;
  const said = words(stderr) || "it gave no reason";
  const why = isTimedOut ? `it did not end within ${TIMEOUT_MS / 1000} s` : said;
  const line = /line (\d+)/.exec(said)?.[1];
  const excerpt = text && line ? text.split("\n")[Number(line) - 1] : undefined;
  throw new IptablesError(`Cannot ${what}: ${why}${excerpt === undefined ? "" : ` (${excerpt})`}`, why);
}

/** The first line that is more than a remark. */
function words(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
  return (lines[0] ?? "").trim();
}

/**
 * The tables of iptables-legacy that are in use in a namespace: `nat`, `filter`. None where the kernel has no x_tables.
 * Asking makes none, as iptables-legacy itself would.
 */
export function legacyTables(family: IpFamily, ns?: Namespace): string[] {
  const path = `/proc/thread-self/net/${family === 4 ? "ip" : "ip6"}_tables_names`;
  const read = (): string => readFileSync(path, "utf8");
  try {
    return (ns ? inNs(ns, read) : read()).split("\n").filter((name) => name !== "");
  } catch {
    return [];
  }
}
