import assert from "node:assert/strict";
import { parseLeaseAttrs, parseVxlanBackendData } from "../../formats/flannel/index.ts";
import type { Member, MixedCluster } from "./mixed-cluster.ts";

/**
 * Each node's neighbours and FDB entries are those of the others' leases, and no others. `isDirect`: for nodes in the
 * same network there are none (DirectRouting).
 */
export async function assertVteps(mixed: MixedCluster, isDirect: boolean): Promise<void> {
  for (const member of mixed.members) {
    const peers = mixed.members.filter(
      (peer) => peer !== member && !(isDirect && networkOf(peer) === networkOf(member)),
    );
    for (const family of [4, 6] as const) {
      const device = member.node.rtnl.link(family === 4 ? "flannel.1" : "flannel-v6.1");
      const wanted = (await Promise.all(peers.map((peer) => vtepOf(mixed, peer, family)))).filter(
        (v) => v !== undefined,
      );
      const is = (): object => ({
        neighbours: member.node.rtnl
          .neighbours()
          .filter(({ index, state }) => index === device?.index && state === NUD_PERMANENT)
          .map(({ address, lladdr }) => `${address} ${lladdr}`)
          .sort(),
        fdb: member.node.rtnl
          .fdb(device?.index)
          .map(({ lladdr, dst }) => `${lladdr} ${dst}`)
          .sort(),
      });
      const expected = {
        neighbours: wanted.map(({ gateway, mac }) => `${gateway} ${mac}`).sort(),
        fdb: wanted.map(({ mac, publicIp }) => `${mac} ${publicIp}`).sort(),
      };
      if (!device) assert.deepEqual(wanted, []);
      // Flannel removes its route first and the other two after it.
      else
        await member.node
          .until(
            "the neighbours and FDB entries of all leases",
            () => JSON.stringify(is()) === JSON.stringify(expected),
          )
          .catch((error) => assert.deepEqual(is(), expected, `${member.node.name} (${member.kind}): ${error}`));
    }
  }
}

// include/uapi/linux/neighbour.h
const NUD_PERMANENT = 0x80;

interface Vtep {
  readonly gateway: string;
  readonly mac: string;
  readonly publicIp: string;
}

async function vtepOf({ cluster }: MixedCluster, { key, env }: Member, family: 4 | 6): Promise<Vtep | undefined> {
  const attrs = parseLeaseAttrs((await cluster.store.get(key))?.valueText ?? "");
  const subnet = family === 4 ? env.subnet : env.ipv6Subnet;
  const publicIp = family === 4 ? attrs.publicIp : attrs.publicIpv6;
  if (!subnet || !publicIp) return undefined;
  const { vtepMac } = parseVxlanBackendData(family === 4 ? attrs.backendData : attrs.backendV6Data);
  return { gateway: subnet.address, mac: vtepMac, publicIp };
}

function networkOf({ node }: Member): string {
  return node.address.replace(/\.\d+$/, "");
}
