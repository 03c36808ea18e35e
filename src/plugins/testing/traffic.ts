// TCP between namespaces, by busybox, and UDP by Node.
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

function node(netns: string, script: string): ChildProcess {
  const argv = [`--net=${netns}`, process.execPath, "-e", script];
  return spawn("nsenter", argv, { stdio: ["ignore", "pipe", "inherit"] });
}

/** Answers every datagram to `port` with `word`, until disposed. */
export function serveUdp(netns: string, port: number, word: string): Disposable {
  const script = `const s = require("dgram").createSocket("udp4");
    s.on("message", (_, from) => s.send(${JSON.stringify(word)}, from.port, from.address)).bind(${port});`;
  const child = node(netns, script);
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/** A sender that never pauses and never changes its port, and what it was answered last. */
export class UdpSender implements Disposable {
  readonly #child: ChildProcess;
  #last = "";

  constructor(netns: string, address: string, port: number) {
    const script = `const s = require("dgram").createSocket("udp4");
      s.on("message", (answer) => process.stdout.write(answer + "\\n")).on("error", () => {}).bind(40000);
      setInterval(() => s.send("?", ${port}, ${JSON.stringify(address)}, () => {}), 20);`;
    this.#child = node(netns, script);
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#last = text.trim().split("\n").at(-1) ?? "";
    });
  }

  async expect(word: string): Promise<void> {
    for (let attempt = 0; attempt < 200 && this.#last !== word; attempt++) await delay(50);
    assert.equal(this.#last, word);
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
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
