import { connect } from "node:net";
import type { NodeStatus } from "./status.ts";

/** The running agent's own status; undefined when nobody listens there, "silent" when no answer comes in time. */
export function askAgent(socketPath: string, timeoutMs = 5000): Promise<NodeStatus | "silent" | undefined> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(socketPath);
    const timer = setTimeout(() => finish("silent"), timeoutMs);
    const finish = (answer: NodeStatus | "silent" | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    socket.on("error", () => finish(undefined));
    socket.on("end", () => {
      try {
        finish(JSON.parse(text) as NodeStatus);
      } catch {
        finish("silent");
      }
    });
  });
}
