// TCP between namespaces, by busybox.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";

function inNetns(netns: string | undefined, argv: readonly string[]): [string, string[]] {
  return netns === undefined ? ["busybox", [...argv]] : ["nsenter", [`--net=${netns}`, "busybox", ...argv]];
}

/** Answers every connection to `port` with `word`, until disposed. */
export function serve(netns: string | undefined, port: number, word: string): Disposable {
  const child: ChildProcess = spawn(...inNetns(netns, ["nc", "-ll", "-p", String(port), "-e", "echo", word]), {
    stdio: "ignore",
  });
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/** What a connection from `netns` is answered; "" when it is not. */
export function ask(netns: string | undefined, address: string, port: number): string {
  return spawnSync(...inNetns(netns, ["nc", "-w", "2", address, String(port)]), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).stdout.trim();
}

/** As ask(), until the server is up. */
export async function expectAnswer(
  netns: string | undefined,
  address: string,
  port: number,
  word: string,
): Promise<void> {
  let last = "";
  for (let attempt = 0; attempt < 50; attempt++) {
    last = ask(netns, address, port);
    if (last === word) return;
    await delay(50);
  }
  assert.equal(last, word, `${address}:${port} from ${netns ?? "the host"}`);
}

/** Whether `address` answers an ICMP echo from `netns` within a second. */
export function ping(netns: string | undefined, address: string): boolean {
  return spawnSync(...inNetns(netns, ["ping", "-c1", "-W1", address]), { stdio: "ignore" }).status === 0;
}

export function nft(...command: string[]): string {
  const { status, stdout, stderr } = spawnSync("nft", command, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}
