import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp, parseMac, parsePrefix } from "../../netip/index.ts";
import * as nl from "../index.ts";

const lladdr = parseMac("6e:47:76:66:8e:36");
const gateway = parseIp("10.244.2.0");
const dst = parsePrefix("10.244.2.0/24");

const SAID: [nl.Request, string][] = [
  [nl.newLink({ name: "cni0", kind: { kind: "bridge" } }), "add link cni0"],
  [nl.setLink({ index: 1, isUp: true }), "change link lo"],
  [nl.setLink({ name: "veth1", master: 13 }), "change link veth1 master flannel.1"],
  [nl.deleteLink({ name: "veth1" }), "delete link veth1"],
  [nl.deleteLink({ index: 9 }), "delete link #9"],
  [nl.deleteLink({ group: 7 }), "delete links of group 7"],
  [nl.getLink({ name: "eth9" }), "get link eth9"],
  [nl.dumpLinks(), "list links"],
  [nl.newAddress({ index: 13, prefix: dst }), "add address 10.244.2.0/24 dev flannel.1"],
  [nl.replaceRoute({ family: 4, dst, gateway, oif: 13 }), "replace route 10.244.2.0/24 via 10.244.2.0 dev flannel.1"],
  [nl.newRoute({ family: 4, dst, nexthopId: 7 }), "add route 10.244.2.0/24 nhid 7"],
  [nl.deleteRoute({ family: 6 }), "delete route default"],
  [nl.dumpRoutes({ table: 5 }), "list routes"],
  [nl.newNeighbour({ index: 13, address: gateway, lladdr }), `add neighbour 10.244.2.0 lladdr ${lladdr} dev flannel.1`],
  [nl.deleteNeighbour({ index: 13, address: gateway }), "delete neighbour 10.244.2.0 dev flannel.1"],
  [nl.appendFdb({ index: 13, lladdr, dst: gateway }), `append FDB entry ${lladdr} dst 10.244.2.0 dev flannel.1`],
  [nl.dumpFdb(), "list FDB entries"],
  [nl.dumpNeighbours(), "list neighbours"],
  [nl.replaceNexthop({ id: 7, family: 4, gateway, oif: 13 }), "replace nexthop 7 via 10.244.2.0 dev flannel.1"],
  [nl.deleteNexthop({ id: 7 }), "delete nexthop 7"],
  [{ type: 99, flags: 0, payload: new Uint8Array(0) }, "carry out netlink request 99"],
  [{ type: nl.RTM_NEWROUTE, flags: 0, payload: new Uint8Array(3) }, "carry out netlink request 24"],
];

test("describeRequest() says a request in the words of iproute2", () => {
  const nameOf = (index: number): string | undefined => ({ 1: "lo", 13: "flannel.1" })[index];
  for (const [request, words] of SAID) assert.equal(nl.describeRequest(request, nameOf), words);
});
