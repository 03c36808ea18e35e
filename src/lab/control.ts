// The control socket: one request a connection, progress lines, then a result or an error. The folder it lies in is
// the user's alone (0700), and so is the socket.
import { once } from "node:events";
import { rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { codeOf, LabError, LabRefusal, reasonOf } from "./errors.ts";
import { readLines, writeLine } from "./json-lines.ts";
import type { ControlReply, ControlRequest, LabInfo, Progress } from "./messages.ts";
import { labNames, type StateDir, stateDir, stateRoot } from "./state-dir.ts";

export interface ControlAnswer {
  readonly result?: unknown;
  /** Runs once the answer has gone out. */
  readonly afterwards?: () => void;
}
export type ControlHandler = (request: ControlRequest, progress: (step: Progress) => void) => Promise<ControlAnswer>;

export async function serveControl(path: string, handle: ControlHandler): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    readLines<ControlRequest>(socket, (request) => {
      const answer = (reply: ControlReply, then: () => void = () => {}): void => {
        socket.end(`${JSON.stringify(reply)}\n`, then);
      };
      handle(request, (step) => writeLine(socket, step)).then(
        ({ result, afterwards }) => answer({ type: "result", result: result ?? null }, afterwards),
        (error: unknown) => answer({ type: "error", message: reasonOf(error) }),
      );
    });
  });
  // bind() is in listen() itself, so that the file never exists with wider permissions.
  const umask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(umask);
  }
  await once(server, "listening");
  // accept() failed, for want of descriptors: that client is turned away, and nobody else.
  server.on("error", () => {});
  return server;
}

/** @throws {LabError} when no lab answers, with `code` ECONNREFUSED or ENOENT as its cause's */
export function askControl(
  dir: StateDir,
  request: ControlRequest,
  onProgress: (step: Progress) => void = () => {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(dir.controlSocket);
    let isAnswered = false;
    socket.once("connect", () => writeLine(socket, request));
    socket.once("error", (cause) =>
      reject(
        new LabError(`reach the lab ${JSON.stringify(dir.name)}`, {
          reason: isGone(cause) ? "it is not running" : cause.message,
          advice: "podpath lab up starts one",
          cause,
        }),
      ),
    );
    socket.once("close", () => {
      if (!isAnswered)
        reject(new LabError(`ask the lab ${JSON.stringify(dir.name)}`, { reason: "it ended meanwhile" }));
    });
    readLines<ControlReply>(socket, (reply) => {
      if (reply.type === "step") return onProgress(reply);
      isAnswered = true;
      socket.end();
      if (reply.type === "result") resolve(reply.result);
      else reject(new LabRefusal(reply.message));
    });
  });
}

function isGone(error: unknown): boolean {
  return codeOf(error) === "ECONNREFUSED" || codeOf(error) === "ENOENT";
}

/** Whether `error` of askControl() says that there is no such lab. */
export function isNotRunning(error: unknown): boolean {
  return error instanceof LabError && isGone(error.cause);
}

export async function labInfo(dir: StateDir): Promise<LabInfo> {
  return (await askControl(dir, { method: "info" })) as LabInfo;
}

/** Labs of this user that answer. */
export async function runningLabs(root: string = stateRoot()): Promise<LabInfo[]> {
  const infos = await Promise.all(labNames(root).map((name) => labInfo(stateDir(name, root)).catch(() => undefined)));
  return infos.filter((info) => info !== undefined);
}

/** The lab that is meant: by name, or the only one. @throws {LabError} */
export async function theLab(name: string | undefined, root: string = stateRoot()): Promise<LabInfo> {
  if (name !== undefined) return await labInfo(stateDir(name, root));
  const [only, ...others] = await runningLabs(root);
  if (!only) throw new LabError("find a lab", { reason: "none is running", advice: "podpath lab up starts one" });
  if (others.length > 0)
    throw new LabError("tell which lab", {
      reason: `there are ${[only, ...others].map((info) => info.name).join(", ")}`,
      advice: "say --name NAME",
    });
  return only;
}
