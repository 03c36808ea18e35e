// What a command says to the kernel and hears from it, by strace.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** The datagrams of a command, in order; `direction` is what strace calls it: write or read. */
export function datagrams(command, direction) {
  const trace = `/tmp/podpath-netlink-${process.pid}`;
  const [program, ...args] = command.split(" ");
  const run = spawnSync("strace", ["-o", trace, "-e", "trace=sendmsg,sendto,recvmsg", "-e", `${direction}=all`, program, ...args]);
  if (run.status !== 0) throw new Error(`${command}: ${run.stderr}`);
  const found = [];
  for (const line of readFileSync(trace, "utf8").split("\n")) {
    if (/^(sendmsg|sendto|recvmsg)\(/.test(line)) found.push("");
    const hex = /^ \| [0-9a-f]+ {2}((?:[0-9a-f]{2} {1,2})+)/.exec(line);
    if (hex) found[found.length - 1] += hex[1].replaceAll(" ", "");
  }
  execFileSync("rm", [trace]);
  return found.filter((datagram) => datagram !== "");
}
