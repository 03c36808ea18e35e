// What is measured, a row a chain: the plugins that a runtime executes one after the other for one pod.

/**
 * @typedef {object} Node what a node has
 * @property {object} flannel its flannel plugin's configuration, with cniVersion and name
 * @property {string} subnetEnv
 * @property {(type: string) => boolean} has whether the plugin is in its folder
 */

const hostPort = (pod) => ({ portMappings: [{ hostPort: 20000 + pod, containerPort: 80, protocol: "tcp" }] });

/**
 * `plugins` gives the configurations in the order of ADD, for the pod of that number; DEL goes backwards.
 * @type {readonly { name: string, plugins: (node: Node, pod: number) => object[] }[]}
 */
export const CHAINS = [
  { name: "flannel → bridge + host-local", plugins: ({ flannel }) => [flannel] },
  { name: "bridge + host-local", plugins: (node) => [delegated(node.flannel, node.subnetEnv)] },
  { name: "ptp + host-local", plugins: (node) => [ptp(node)] },
  { name: "flannel, portmap idle", plugins: ({ flannel }) => [flannel, portmap(flannel)] },
  {
    name: "flannel, 1 hostPort",
    plugins: ({ flannel }, pod) => [flannel, { ...portmap(flannel), runtimeConfig: hostPort(pod) }],
  },
  {
    name: "bridge ipMasq, 1 hostPort",
    plugins: (node, pod) => [
      { ...delegated(node.flannel, node.subnetEnv), ipMasq: true },
      { ...portmap(node.flannel), runtimeConfig: hostPort(pod) },
    ],
  },
];

/** A /20 on a bridge of its own, which has 1,024 ports: a node's /24 holds 253 pods. */
export function largeNetwork({ flannel }) {
  return {
    ...delegated(flannel, ""),
    name: "bench-large",
    bridge: "bench0",
    ipam: { type: "host-local", ranges: [[{ subnet: "10.250.0.0/20" }]] },
  };
}

/** The plugin types that a chain executes, IPAM included. */
export function typesOf(confs) {
  return [...new Set(confs.flatMap(({ type, ipam }) => (ipam?.type ? [type, ipam.type] : [type])))];
}

/**
 * The reference has no flannel in Debian: bridge then gets what flannel would delegate.
 * @param {readonly object[]} confs @param {Node} node
 */
export function withoutFlannel(confs, node) {
  return confs.map((conf) =>
    conf.type === "flannel" && !node.has("flannel") ? delegated(conf, node.subnetEnv) : conf,
  );
}

function portmap({ cniVersion, name }) {
  return { cniVersion, name, type: "portmap", capabilities: { portMappings: true }, snat: true };
}

function ptp({ flannel, subnetEnv }) {
  const { cniVersion, name, mtu, ipam } = delegated(flannel, subnetEnv);
  return { cniVersion, name, type: "ptp", mtu, ipam: { ...ipam, routes: [{ dst: "0.0.0.0/0" }] } };
}

/** What Flannel's plugin hands to the bridge plugin. @param {object} conf its own configuration @param {string} subnetEnv */
export function delegated({ cniVersion, name, delegate = {} }, subnetEnv) {
  const env = Object.fromEntries(
    subnetEnv
      .trim()
      .split("\n")
      .map((line) => line.split("=")),
  );
  return {
    type: "bridge",
    ...(env.FLANNEL_MTU && { mtu: Number(env.FLANNEL_MTU) }),
    ipMasq: env.FLANNEL_IPMASQ === "false",
    isGateway: true,
    ...delegate,
    cniVersion,
    name,
    ...(env.FLANNEL_SUBNET && {
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: networkOf(env.FLANNEL_SUBNET) }]],
        routes: [{ dst: env.FLANNEL_NETWORK }],
      },
    }),
  };
}

/** 10.244.1.1/24 -> 10.244.1.0/24: subnet.env has the bridge's address, host-local wants the network's. */
function networkOf(text) {
  const [address, length] = text.split("/");
  const bits = 32 - Number(length);
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const network = Math.floor(number / 2 ** bits) * 2 ** bits;
  return `${[24, 16, 8, 0].map((shift) => Math.floor(network / 2 ** shift) % 256).join(".")}/${length}`;
}
