import type { WantedFdb, WantedNeighbour, WantedPeer, WantedRoute } from "./state.ts";
import { Table } from "./table.ts";

/** What a peer, or a device's own routes, consist of. */
export type Parts = Omit<WantedPeer, "key">;

/** Who wants what is to be in a place. Two may not: it would change hands for ever. */
export class Claims {
  readonly #neighbours = new Table<string>();
  readonly #fdb = new Table<string>();
  readonly #routes = new Table<string>();

  /** The first to claim a place has it. Tells why not all of the parts' places were free. */
  claim(of: string, { neighbours, fdb, routes }: Parts): string | undefined {
    const taken = [
      ...neighbours.map(({ index, address }) => ["subnet", take(this.#neighbours, index, address, of)] as const),
      ...fdb.map(({ index, lladdr }) => [`MAC address ${lladdr}`, take(this.#fdb, index, lladdr, of)] as const),
      ...routes.map(({ dst }) => ["subnet", take(this.#routes, dst.length, dst.address, of)] as const),
    ].find(([, by]) => by !== undefined);
    return taken && `its ${taken[0]} is that of ${taken[1]} too; one of the two leases has to go`;
  }

  release(of: string, { neighbours, fdb, routes }: Parts): void {
    for (const { index, address } of neighbours) release(this.#neighbours, index, address, of);
    for (const { index, lladdr } of fdb) release(this.#fdb, index, lladdr, of);
    for (const { dst } of routes) release(this.#routes, dst.length, dst.address, of);
  }

  neighbour({ index, address }: Pick<WantedNeighbour, "index" | "address">): boolean {
    return this.#neighbours.get(index, address) !== undefined;
  }

  fdb({ index, lladdr }: Pick<WantedFdb, "index" | "lladdr">): boolean {
    return this.#fdb.get(index, lladdr) !== undefined;
  }

  route({ dst }: Pick<WantedRoute, "dst">): boolean {
    return this.#routes.get(dst.length, dst.address) !== undefined;
  }
}

/** Gives who has the place already. */
function take(table: Table<string>, number: number, text: string, of: string): string | undefined {
  const by = table.get(number, text);
  if (by === undefined) table.set(number, text, of);
  return by;
}

function release(table: Table<string>, number: number, text: string, of: string): void {
  if (table.get(number, text) === of) table.delete(number, text);
}
