// The client is tested by running it: here on the machine's own kind, and under qemu where that is installed.
import assert from "node:assert/strict";
import { type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type ClientArch, clientElf } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "podpath-client-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const ARCHES: { arch: ClientArch; node: string; emulator: string }[] = [
  { arch: "x86-64", node: "x64", emulator: "qemu-x86_64-static" },
  { arch: "aarch64", node: "arm64", emulator: "qemu-aarch64-static" },
];

const ENV = { CNI_COMMAND: "ADD", CNI_IFNAME: "eth0", CNI_PATH: "/a:/b", CN: "x", CNI: "y", OTHER: "CNI_" };
const SENT = ["./flannel", "CNI_COMMAND=ADD", "CNI_IFNAME=eth0", "CNI_PATH=/a:/b"];

interface Ran {
  readonly code: number | null;
  readonly stdout: Buffer;
}

for (const { arch, node, emulator } of ARCHES) {
  const prefix = process.arch === node ? [] : emulatorPath(emulator);
  describe(`the client for ${arch}`, { skip: prefix === undefined ? `${emulator} is not installed` : false }, () => {
    let count = 0;
    const client = (fallback = "/nonexistent/podpath-cni.cjs", nodePath?: string) => {
      const name = join(folder, `${arch}-${count++}`);
      const socketPath = `${name}.sock`;
      const options = { arch, socketPath, fallbackPath: fallback, timeoutSeconds: 60 };
      writeFileSync(name, clientElf(nodePath === undefined ? options : { ...options, nodePath }), { mode: 0o755 });
      return { name, socketPath };
    };
    const run = (
      file: string,
      stdin: Uint8Array | string,
      env: Record<string, string> = ENV,
      spawnOptions: SpawnOptions = {},
    ) => {
      const [program = "", ...args] = [...(prefix ?? []), file];
      // argv[0] is what the runtime wrote, not the file's path; the emulator has a flag for it.
      const argv = prefix?.length === 0 ? args : ["-0", "./flannel", ...args];
      const child = spawn(program, argv, {
        argv0: "./flannel",
        env,
        stdio: ["pipe", "pipe", "inherit"],
        ...spawnOptions,
      });
      const parts: Buffer[] = [];
      child.stdout?.on("data", (data: Buffer) => parts.push(data));
      child.stdin?.on("error", () => {}); // the client may end before it has read everything
      child.stdin?.end(stdin);
      return new Promise<Ran>((resolve) =>
        child.on("close", (code) => resolve({ code, stdout: Buffer.concat(parts) })),
      );
    };
    const serve = async (socketPath: string, answer: (socket: Socket) => void | Promise<void>): Promise<Disposable> => {
      const server = createServer({ allowHalfOpen: true }, (socket) => void answer(socket)).listen(socketPath);
      await once(server, "listening");
      return { [Symbol.dispose]: () => void server.close() };
    };
    // Not by `for await`, which would destroy the socket at its end: the answer has still to go out.
    const everything = async (socket: Socket): Promise<Buffer> => {
      const parts: Buffer[] = [];
      socket.on("data", (data: Buffer) => parts.push(data));
      await once(socket, "end");
      return Buffer.concat(parts);
    };

    test("sends argv[0], the CNI_ variables and stdin, and gives back code and output", async () => {
      const { name, socketPath } = client();
      let got: Buffer | undefined;
      using _ = await serve(socketPath, async (socket) => {
        got = await everything(socket);
        socket.end(Buffer.from('\x07{"code":7}'));
      });
      assert.deepEqual(await run(name, '{"name":"n"}'), { code: 7, stdout: Buffer.from('{"code":7}') });
      const [strings = "", stdin] = (got?.toString() ?? "").split("\0\0");
      const [argv0, ...variables] = strings.split("\0");
      assert.deepEqual([argv0, ...variables.sort()], SENT); // qemu hands the environment over in reverse
      assert.equal(stdin, '{"name":"n"}');
    });

    test("carries megabytes both ways, however slowly the other side reads", async () => {
      const { name, socketPath } = client();
      const stdin = Buffer.alloc(3_000_000, "stdin ");
      const reply = Buffer.alloc(3_000_000, "reply ");
      let got: Buffer | undefined;
      using _ = await serve(socketPath, async (socket) => {
        got = await everything(socket);
        socket.write(Buffer.of(0)); // the exit code alone in its packet
        socket.end(reply);
      });
      const { code, stdout } = await run(name, stdin);
      assert.equal(code, 0);
      assert.ok(stdout.equals(reply));
      assert.ok(got?.subarray(got.indexOf("\0\0") + 2).equals(stdin));
    });

    test("VERSION does not wait for stdin to end", async () => {
      const { name, socketPath } = client();
      using _ = await serve(socketPath, async (socket) => {
        await everything(socket);
        socket.end(Buffer.from("\0v"));
      });
      const [program = "", ...args] = [...(prefix ?? []), name];
      const child = spawn(program, args, { env: { CNI_COMMAND: "VERSION" }, stdio: ["pipe", "pipe", "inherit"] });
      const [code] = await once(child, "close");
      assert.equal(code, 0);
      child.stdin?.destroy();
    });

    test("takes an answer that comes before stdin was read", async () => {
      const { name, socketPath } = client();
      using _ = await serve(socketPath, (socket) => {
        socket.on("error", () => {}).end(Buffer.from("\x01early"), () => socket.destroy());
      });
      const { code, stdout } = await run(name, Buffer.alloc(2_000_000));
      assert.deepEqual([code, stdout.toString()], [1, "early"]);
    });

    test("an agent that ends without an answer is error 11, try again later", async () => {
      const { name, socketPath } = client();
      using _ = await serve(socketPath, async (socket) => {
        await everything(socket);
        socket.destroy();
      });
      const { code, stdout } = await run(name, "{}");
      assert.equal(code, 1);
      assert.deepEqual([JSON.parse(stdout.toString()).code, stdout.includes("did not answer")], [11, true]);
    });

    test("with nobody at the socket the fallback gets argv, environment and the whole of stdin", async () => {
      const fallback = join(folder, `${arch}-fallback.cjs`);
      writeFileSync(
        fallback,
        `process.stdout.write(JSON.stringify([process.argv.slice(1), process.env.OTHER, require("node:fs").readFileSync(0, "utf8")])); process.exitCode = 3`,
      );
      const { name } = client(fallback, process.execPath);
      const { code, stdout } = await run(name, "whole");
      assert.equal(code, 3);
      assert.deepEqual(JSON.parse(stdout.toString()), [[fallback, "./flannel"], "CNI_", "whole"]);
    });

    test("with neither agent nor fallback it says so as error 11", async () => {
      const { name, socketPath } = client("/nonexistent/podpath-cni.cjs", "/nonexistent/node");
      const { code, stdout } = await run(name, "{}");
      const error = JSON.parse(stdout.toString());
      assert.deepEqual([code, error.code], [1, 11]);
      for (const part of [socketPath, "/nonexistent/node", "install-cni"]) assert.ok(error.msg.includes(part), part);
    });

    test("without CNI_COMMAND it leaves the word to the fallback", async () => {
      const fallback = join(folder, `${arch}-about.cjs`);
      writeFileSync(fallback, `process.stdout.write("about")`);
      const { name, socketPath } = client(fallback, process.execPath);
      using _ = await serve(socketPath, (socket) => void socket.destroy());
      assert.equal((await run(name, "", {})).stdout.toString(), "about");
    });
  });
}

/** The clients run with an environment without PATH, so their emulator needs its full path. */
function emulatorPath(name: string): string[] | undefined {
  const found = (process.env.PATH ?? "")
    .split(":")
    .map((dir) => join(dir, name))
    .find(existsSync);
  return found === undefined ? undefined : [found];
}

test("clientElf() refuses a socket path that fits no sockaddr_un, and a NUL", () => {
  const options = { arch: "x86-64", fallbackPath: "/f" } as const;
  assert.throws(() => clientElf({ ...options, socketPath: `/${"x".repeat(107)}` }), /107 bytes/);
  assert.throws(() => clientElf({ ...options, socketPath: "" }), /107 bytes/);
  assert.throws(() => clientElf({ ...options, socketPath: "/a\0b" }), /NUL/);
});
