import { notifySupervisor } from "../kernel/index.ts";
import { messageOf } from "./errors.ts";
import type { Log } from "./log.ts";

const STATUS_EVERY_MS = 10_000;

export interface SupervisorOptions {
  readonly log: Log;
  /** Why the process should be started again, if it should. */
  readonly whyDead: () => string | undefined;
  /** One line on how the node is, for `systemctl status`. */
  readonly status: () => string;
  /** `$WATCHDOG_USEC` and `$WATCHDOG_PID`: how often systemd wants to hear of us, and whether it means us. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly notify?: (state: string) => boolean;
}

/** What systemd wants to know of a service of Type=notify (sd_notify(3), sd_watchdog_enabled(3)). */
export class Supervisor implements Disposable {
  readonly #options: SupervisorOptions;
  readonly #notify: (state: string) => boolean;
  readonly #timers: NodeJS.Timeout[] = [];
  #said: string | undefined;
  #failed: string | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#notify = options.notify ?? notifySupervisor;
  }

  /** The node is up. From now on the status is told when it changes, and that we live as often as it is wanted. */
  ready(): void {
    const status = this.#options.status();
    this.#said = status;
    if (!this.#tell(`READY=1\nSTATUS=${oneLine(status)}`)) return;
    this.#timers.push(setInterval(() => this.#tellStatus(), STATUS_EVERY_MS).unref());
    const everyMs = watchdogMs(this.#options.env ?? process.env);
    if (everyMs === undefined) return;
    // Twice as often as would do. A stuck process is not defended: systemd starts another one.
    this.#timers.push(
      setInterval(() => {
        const dead = this.#options.whyDead();
        this.#tell(dead === undefined ? "WATCHDOG=1" : `STATUS=stuck: ${oneLine(dead)}`);
      }, everyMs / 2).unref(),
    );
    this.#tell("WATCHDOG=1");
  }

  stopping(): void {
    this.#tell("STOPPING=1\nSTATUS=stopping; the datapath stays");
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #tellStatus(): void {
    const status = this.#options.status();
    if (status === this.#said) return;
    this.#said = status;
    this.#tell(`STATUS=${oneLine(status)}`);
  }

  /** Whether there is a supervisor. One that cannot be told is no reason to fail, and worth one line. */
  #tell(state: string): boolean {
    try {
      const isHeard = this.#notify(state);
      this.#failed = undefined;
      return isHeard;
    } catch (error) {
      const why = messageOf(error);
      if (why !== this.#failed)
        this.#options.log.warn({ err: error }, `cannot tell the supervisor ${state.split("\n")[0]}`);
      this.#failed = why;
      return true;
    }
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/** undefined: systemd does not watch this process. */
export function watchdogMs(
  env: Readonly<Record<string, string | undefined>>,
  pid: number = process.pid,
): number | undefined {
  const usec = Number(env.WATCHDOG_USEC);
  if (!Number.isFinite(usec) || usec <= 0) return undefined;
  const isOurs = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === pid;
  return isOurs ? usec / 1000 : undefined;
}
