// Which peers SubnetAddCommand was run for, for the next process: those that go while none runs get their
// SubnetRemoveCommand then. What is said in here was true of one boot and one network namespace.
import { mkdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A peer as the commands are told of it. */
export interface PeerValues {
  /** As its lease names it: its subnets. */
  readonly name: string;
  readonly variables: Readonly<Record<string, string>>;
  /** What the peer's PreStartupCommand printed. */
  readonly data: string;
}

export class AddedPeers {
  readonly #file: string | undefined;
  #written = "";

  /** @param stateDir undefined: nothing is remembered */
  constructor(stateDir: string | undefined) {
    this.#file = stateDir && join(stateDir, "extension.json");
  }

  /** Those of the last process here; none when the file is not there or makes no sense. */
  read(): readonly PeerValues[] {
    if (this.#file === undefined) return [];
    try {
      const { scope, peers } = JSON.parse(readFileSync(this.#file, "utf8"));
      return scope === currentScope() && Array.isArray(peers) ? peers.filter(isPeerValues) : [];
    } catch {
      return [];
    }
  }

  /** @throws when the file cannot be written */
  write(peers: readonly PeerValues[]): void {
    if (this.#file === undefined) return;
    const text = JSON.stringify({ scope: currentScope(), peers });
    if (text === this.#written) return;
    mkdirSync(join(this.#file, ".."), { recursive: true });
    const draft = `${this.#file}.${process.pid}`;
    writeFileSync(draft, text, { mode: 0o600 });
    renameSync(draft, this.#file);
    this.#written = text;
  }
}

function currentScope(): string {
  return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/net")}`;
}

function isPeerValues(value: unknown): value is PeerValues {
  if (typeof value !== "object" || value === null) return false;
  const { name, variables, data } = value as Partial<Record<keyof PeerValues, unknown>>;
  return (
    typeof name === "string" &&
    typeof data === "string" &&
    typeof variables === "object" &&
    variables !== null &&
    Object.values(variables).every((text) => typeof text === "string")
  );
}
