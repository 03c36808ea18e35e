// Who plays which part of a walk in this lab. Pure.
import type { Cast, Place } from "../../model/index.ts";
import type { LabInfo, PodInfo } from "../messages.ts";
import { FABRIC, fabricPort } from "../topology.ts";

export interface Players {
  readonly source?: PodInfo | undefined;
  /** When the source is a node itself. */
  readonly sourceNode?: string | undefined;
  readonly target?: PodInfo | undefined;
}

export function castOf(info: LabInfo, { source, sourceNode, target }: Players): Cast {
  const from = source?.node ?? sourceNode;
  const client = info.nodes.find(({ role }) => role === "client")?.name;
  const named = (place: Place, name: string | undefined): Partial<Record<Place, string>> =>
    name === undefined ? {} : { [place]: name };
  return {
    places: {
      ...named("src-pod", source?.name),
      ...named("src-node", from),
      ...named("dst-pod", target?.name),
      ...named("dst-node", target?.node),
      ...named("client", client),
      gateway: "gateway",
      fabric: FABRIC,
    },
    devices: {
      ...(source?.hostVeth ? { "src-veth": source.hostVeth } : {}),
      ...(target?.hostVeth ? { "dst-veth": target.hostVeth } : {}),
      ...(from ? { "src-port": fabricPort(from) } : {}),
      ...(target ? { "dst-port": fabricPort(target.node) } : {}),
      "gateway-port": fabricPort("gateway"),
    },
  };
}
