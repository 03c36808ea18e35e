import assert from "node:assert/strict";
import { test } from "node:test";
import { fabricPort, MAX_NODES, planNodes, primaryAddress } from "./topology.ts";

test("planNodes: the gateway stands between the fabric and the client", () => {
  const plans = planNodes(2);
  assert.deepEqual(
    plans.map(({ name }) => name),
    ["gateway", "node1", "node2", "store", "client"],
  );
  assert.deepEqual(
    plans.map(({ interfaces }) =>
      interfaces.map(({ device, address }) => `${device} ${address.address}/${address.length}`),
    ),
    [
      ["eth0 192.168.100.1/24", "eth1 203.0.113.1/24"],
      ["eth0 192.168.100.11/24"],
      ["eth0 192.168.100.12/24"],
      ["eth0 192.168.100.2/24"],
      ["eth0 203.0.113.10/24"],
    ],
  );
});

test("planNodes: no address and no device name is given twice, however many nodes", () => {
  const plans = planNodes(MAX_NODES);
  const addresses = plans.map(primaryAddress);
  assert.equal(new Set(addresses).size, plans.length);
  // IFNAMSIZ is 16, with a NUL.
  for (const { name } of plans) assert.ok(fabricPort(name).length <= 15, name);
});
