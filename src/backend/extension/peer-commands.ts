// Brings each peer from what it was added as to what it shall be, peer by peer and side by side: one that fails or hangs
// holds up no other.
//
//   (nothing) --add--> added --remove--> (nothing)
//                 |
//                 failed: remove, whose failure does not matter, and add once more; failed again: a StepFailure
import type { StepFailure } from "../../host/index.ts";
import type { Log } from "../backend.ts";
import type { PeerValues } from "./added-peers.ts";
import type { Command, RunningCommand } from "./command.ts";

/** How many commands are begun at once. A slow one soon counts no more, so that others get their turn. */
const FRESH_AT_ONCE = 8;
const FRESH_MS = 1000;
/** What SubnetRemoveCommand is to remove may be gone already, which it can tell by nothing but a failure. */
const REMOVAL_ATTEMPTS = 5;
/** How long settle() waits for what it began; what is still running then goes on by itself. */
const PATIENCE_MS = 2000;

export interface PeerCommandsOptions {
  /** undefined: there is no such command. */
  readonly add: ((peer: PeerValues) => Command) | undefined;
  readonly remove: ((peer: PeerValues) => Command) | undefined;
  readonly run: (command: Command) => RunningCommand;
  readonly log: Log;
  /** Something that went on after settle() has ended. */
  readonly onEnded: () => void;
}

interface PeerState {
  readonly name: string;
  /** What SubnetAddCommand was last told; undefined: there is nothing to remove. */
  added: PeerValues | undefined;
  /** It has to be added again: it failed, or a process before this one did it. */
  isUnsure: boolean;
  /** How often its removal failed in a row. */
  failedRemovals: number;
  work: Promise<void> | undefined;
  running: RunningCommand | undefined;
  failure: unknown;
}

export class PeerCommands {
  readonly #options: PeerCommandsOptions;
  readonly #peers = new Map<string, PeerState>();
  #fresh = 0;
  readonly #waiting: (() => void)[] = [];
  #isStopped = false;

  /** @param before whom a process before this one added */
  constructor(options: PeerCommandsOptions, before: readonly PeerValues[]) {
    this.#options = options;
    for (const added of before) this.#peers.set(added.name, { ...newPeer(added.name), added, isUnsure: true });
  }

  /** Whom there may be something of: for the next process. */
  added(): PeerValues[] {
    return [...this.#peers.values()].flatMap(({ added }) => (added ? [added] : []));
  }

  /**
   * Begins what is to do and is not being done, and gives what failed since the last time.
   * @param onBegin is called when the set of peers that may be added is known, before any command runs
   */
  async settle(
    wanted: readonly PeerValues[],
    skip: (of: string) => boolean,
    onBegin: () => void,
  ): Promise<readonly StepFailure[]> {
    const wantedByName = new Map(wanted.map((peer) => [peer.name, peer]));
    for (const { name } of wanted) if (!this.#peers.has(name)) this.#peers.set(name, newPeer(name));
    const failures: StepFailure[] = [];
    const begin: (() => void)[] = [];
    for (const state of this.#peers.values()) {
      const want = wantedByName.get(state.name);
      if (!want && !state.added && !state.work) this.#peers.delete(state.name);
      if (state.work || isDone(state, want)) continue;
      // What failed after the last settle() had given up waiting for it is told now, and tried when its time has come.
      if (this.#tell(state, failures) || skip(nameOf(state))) continue;
      const before = state.added;
      if (want) state.added = want;
      begin.push(() => this.#begin(state, before, want));
    }
    onBegin();
    for (const one of begin) one();
    const works = [...this.#peers.values()].flatMap(({ work }) => (work ? [work] : []));
    await withPatience(Promise.all(works));
    for (const state of this.#peers.values()) if (!state.work) this.#tell(state, failures);
    return failures;
  }

  #tell(state: PeerState, failures: StepFailure[]): boolean {
    if (state.failure === undefined) return false;
    failures.push({ of: nameOf(state), error: state.failure });
    state.failure = undefined;
    return true;
  }

  #begin(state: PeerState, before: PeerValues | undefined, want: PeerValues | undefined): void {
    const startedAt = performance.now();
    const work = this.#bring(state, before, want)
      .catch((error: unknown) => {
        if (this.#isStopped) return;
        state.failure = error;
        if (want) state.isUnsure = true;
      })
      .finally(() => {
        state.work = undefined;
        state.running = undefined;
        if (performance.now() - startedAt > PATIENCE_MS && !this.#isStopped) this.#options.onEnded();
      });
    state.work = work;
  }

  async #bring(state: PeerState, before: PeerValues | undefined, want: PeerValues | undefined): Promise<void> {
    const { add, remove } = this.#options;
    if (before && !want) {
      if (remove) await this.#remove(state, remove(before));
      state.added = undefined;
    }
    if (before && want && !isEqual(before, want) && remove)
      await this.#run(state, remove(before)).catch((error: unknown) => {
        this.#options.log.warn({ err: error }, `cannot undo what peer ${state.name} was before it changed`);
      });
    if (!want) return;
    if (add) {
      try {
        await this.#run(state, add(want));
      } catch (error) {
        if (!remove || this.#isStopped) throw error;
        // What stands in its way may be its own: of a process before this one, or of an attempt that went half-way.
        await this.#run(state, remove(want)).catch(() => {});
        await this.#run(state, add(want));
      }
    }
    state.isUnsure = false;
    state.failedRemovals = 0;
  }

  async #remove(state: PeerState, command: Command): Promise<void> {
    try {
      await this.#run(state, command);
    } catch (error) {
      if (this.#isStopped || ++state.failedRemovals < REMOVAL_ATTEMPTS) throw error;
      const message = `giving up on ${nameOf(state)}, which went: ${REMOVAL_ATTEMPTS} attempts failed`;
      this.#options.log.warn({ err: error }, message);
    }
  }

  async #run(state: PeerState, command: Command): Promise<void> {
    if (this.#fresh >= FRESH_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#fresh++;
    let isFresh = true;
    const release = (): void => {
      if (!isFresh) return;
      isFresh = false;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#fresh--;
    };
    const timer = setTimeout(release, FRESH_MS);
    try {
      if (this.#isStopped) throw new Error("the agent is stopping");
      state.running = this.#options.run(command);
      const { stdout, stderr } = await state.running.done;
      this.#options.log.debug({ peer: state.name, stdout, stderr }, `ran Backend.${command.key} for ${state.name}`);
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  /** Ends what is running. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const states = [...this.#peers.values()];
    for (const { running } of states) running?.kill();
    for (const next of this.#waiting.splice(0)) next();
    await Promise.all(states.map(({ work }) => work));
  }
}

function newPeer(name: string): PeerState {
  return {
    name,
    added: undefined,
    isUnsure: false,
    failedRemovals: 0,
    work: undefined,
    running: undefined,
    failure: undefined,
  };
}

function nameOf({ name }: PeerState): string {
  return `commands of peer ${name}`;
}

function isDone({ added, isUnsure }: PeerState, want: PeerValues | undefined): boolean {
  if (!want) return added === undefined;
  return !isUnsure && added !== undefined && isEqual(added, want);
}

function isEqual(a: PeerValues, b: PeerValues): boolean {
  const entries = Object.entries(a.variables);
  return a.data === b.data && entries.every(([name, value]) => b.variables[name] === value);
}

async function withPatience(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    work,
    new Promise((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    }),
  ]);
  clearTimeout(timer);
}
