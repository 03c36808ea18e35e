import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../formats/netip/index.ts";
import type { ConntrackEntry } from "../formats/netlink/index.ts";
import { SyscallError } from "../kernel/index.ts";
import { KernelTable } from "./kernel-table.ts";
import { planGateway } from "./plan.ts";
import { OPTIONS, SERVICES, SLICES } from "./testing/example.ts";

const WANTED = planGateway(SERVICES, SLICES, OPTIONS);
/** To the ClusterIP's UDP port, and answered by nobody. */
const STALE: ConntrackEntry = {
  family: 4,
  original: {
    protocol: 17,
    source: parseIp("203.0.113.10"),
    destination: parseIp("10.96.0.10"),
    sourcePort: 40000,
    destinationPort: 80,
  },
  reply: {
    protocol: 17,
    source: parseIp("10.96.0.10"),
    destination: parseIp("203.0.113.10"),
    sourcePort: 80,
    destinationPort: 40000,
  },
  identity: { original: new Uint8Array(), id: undefined },
};

/** A table over a conntrack whose operations fail with `failures`, one after the other, until there are none left. */
function tableOver(failures: SyscallError[]): { table: KernelTable; flows: Set<ConntrackEntry>; warnings: string[] } {
  const flows = new Set([STALE]);
  const warnings: string[] = [];
  const failFirst = (): void => {
    const failure = failures.shift();
    if (failure) throw failure;
  };
  const table = new KernelTable({
    nft: { apply() {}, list: () => ({ nftables: [] }) },
    log: { warn: (_: unknown, text?: string) => warnings.push(text ?? "") },
    openConntrack: () => ({
      list: (_, wanted = () => true) => [...flows].filter(wanted),
      delete(entry) {
        failFirst();
        return flows.delete(entry);
      },
      [Symbol.dispose]() {},
    }),
  });
  return { table, flows, warnings };
}

test("stale flows that could not be forgotten are forgotten at the next writing", () => {
  const { table, flows } = tableOver([new SyscallError("delete", 105, "ENOBUFS", "No buffer space available")]);
  assert.throws(() => table.write(WANTED), /ENOBUFS/);
  assert.equal(flows.size, 1);
  table.write(WANTED);
  assert.equal(flows.size, 0);
});

test("a kernel without ctnetlink is told once, and the table written all the same", () => {
  const missing = new SyscallError("list", 95, "EOPNOTSUPP", "Operation not supported");
  const { table, warnings } = tableOver([missing, missing]);
  assert.equal(table.write(WANTED), "full");
  assert.equal(table.write(planGateway(SERVICES, [], OPTIONS)), "partial");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /nf_conntrack_netlink/);
});
