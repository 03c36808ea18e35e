/** Which file of this repository programs what a packet meets. One place, so that a moved file is one change. */
export const MADE_BY = {
  lo: "src/plugins/loopback.ts",
  podLink: "src/plugins/pod-link.ts",
  bridge: "src/plugins/bridge/bridge-link.ts",
  podAddress: "src/plugins/host-local/host-local.ts",
  peers: "src/backend/vxlan/peers.ts",
  vxlanDevice: "src/backend/vxlan/device.ts",
  masquerade: "src/masquerade/ruleset.ts",
  gateway: "src/gateway/ruleset.ts",
  fabric: "src/lab/fabric.ts",
  lab: "src/lab/topology.ts",
} as const;
