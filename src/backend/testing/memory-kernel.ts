import { decodeLink, type Link, type Request, RTM_DELLINK, RTM_NEWLINK } from "../../formats/netlink/index.ts";
import type { BackendRtnl } from "../backend.ts";
import { MemoryWireGuard } from "./memory-wireguard.ts";

/** The links of a namespace, in memory: what a backend makes is there, what it deletes is gone. */
export class MemoryKernel implements BackendRtnl {
  readonly requests: Request[] = [];
  readonly links: Map<string, Link> = new Map<string, Link>();
  readonly wireguard: MemoryWireGuard = new MemoryWireGuard((index) => this.link(index));
  #lastIndex = 2;

  link(which: string | number): Link | undefined {
    return [...this.links.values()].find((link) => link.name === which || link.index === which);
  }

  execute(requests: Request | readonly Request[]): void {
    for (const request of [requests].flat() as Request[]) {
      this.requests.push(request);
      if (request.type !== RTM_NEWLINK && request.type !== RTM_DELLINK) continue;
      const known = this.link(new DataView(request.payload.buffer, request.payload.byteOffset).getInt32(4, true));
      if (known && request.type === RTM_DELLINK) this.links.delete(known.name);
      if (known) continue;
      // A request spells the very attributes that a dump holds.
      const link = decodeLink({ ...request, seq: 0, pid: 0 });
      if (request.type === RTM_DELLINK) this.links.delete(link.name);
      else if (!this.links.has(link.name)) this.links.set(link.name, { ...link, index: ++this.#lastIndex });
    }
  }
}
