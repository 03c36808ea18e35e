import assert from "node:assert/strict";
import { test } from "node:test";
import { delegated } from "./cni.mjs";

const SUBNET_ENV = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.37.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`;

test("delegated() is what Flannel's plugin writes to the bridge plugin for the usual conflist", () => {
  const delegate = { hairpinMode: true, isDefaultGateway: true };
  assert.deepEqual(delegated({ cniVersion: "1.0.0", name: "cbr0", type: "flannel", delegate }, SUBNET_ENV), {
    cniVersion: "1.0.0",
    hairpinMode: true,
    ipMasq: false,
    ipam: {
      ranges: [[{ subnet: "10.244.37.0/24" }]],
      routes: [{ dst: "10.244.0.0/16" }],
      type: "host-local",
    },
    isDefaultGateway: true,
    isGateway: true,
    mtu: 1450,
    name: "cbr0",
    type: "bridge",
  });
});

test("delegated() leaves masquerading to the plugin when the daemon does not do it, and the delegate's own keys stand", () => {
  const env = SUBNET_ENV.replace("IPMASQ=true", "IPMASQ=false");
  const conf = delegated({ cniVersion: "0.3.1", name: "n", delegate: { mtu: 1400 } }, env);
  assert.equal(conf.ipMasq, true);
  assert.equal(conf.mtu, 1400);
});

for (const [address, network] of [
  ["10.244.37.129/25", "10.244.37.128/25"],
  ["10.255.255.1/8", "10.0.0.0/8"],
  ["192.168.3.1/22", "192.168.0.0/22"],
])
  test(`the subnet of ${address} is ${network}`, () => {
    const conf = delegated({ cniVersion: "1.0.0", name: "n" }, SUBNET_ENV.replace("10.244.37.1/24", address));
    assert.deepEqual(conf.ipam.ranges, [[{ subnet: network }]]);
  });
