import assert from "node:assert/strict";
import { test } from "node:test";
import { CHAINS, delegated, largeNetwork, typesOf, withoutFlannel } from "./cni-chains.mjs";

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

const flannel = { cniVersion: "1.0.0", name: "cbr0", type: "flannel", delegate: { hairpinMode: true } };
const nodeWith = (...types) => ({ flannel, subnetEnv: SUBNET_ENV, has: (type) => types.includes(type) });

test("every chain is a list of configurations of one network, whose plugins can be told", () => {
  const types = CHAINS.map(({ plugins }) => typesOf(plugins(nodeWith(), 3)));
  assert.deepEqual(types[0], ["flannel"]);
  assert.deepEqual(types[1], ["bridge", "host-local"]);
  for (const { name, plugins } of CHAINS)
    for (const conf of plugins(nodeWith(), 3)) assert.deepEqual([conf.cniVersion, conf.name], ["1.0.0", "cbr0"], name);
});

test("each pod has a host port of its own", () => {
  const { plugins } = CHAINS.find(({ name }) => name === "flannel, 1 hostPort");
  const ports = [1, 2].map((pod) => plugins(nodeWith(), pod)[1].runtimeConfig.portMappings[0].hostPort);
  assert.equal(new Set(ports).size, 2);
});

test("a side without flannel gets what flannel would delegate, and all else as it is", () => {
  const confs = [flannel, { type: "portmap", name: "cbr0" }];
  assert.equal(withoutFlannel(confs, nodeWith("flannel"))[0], flannel);
  const [bridge, portmap] = withoutFlannel(confs, nodeWith("bridge"));
  assert.deepEqual([bridge.type, bridge.hairpinMode, bridge.ipam.type], ["bridge", true, "host-local"]);
  assert.equal(portmap, confs[1]);
});

test("the large network has room for a thousand pods, beside the node's own", () => {
  const { name, bridge, ipam, isGateway } = largeNetwork(nodeWith());
  assert.deepEqual([name, bridge, isGateway], ["bench-large", "bench0", true]);
  assert.deepEqual(ipam.ranges, [[{ subnet: "10.250.0.0/20" }]]);
});
