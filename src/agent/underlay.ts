import type { ExternalInterface } from "../backend/index.ts";
import type { IpAddress, IpFamily } from "../formats/netip/index.ts";
import { RT_SCOPE_LINK } from "../formats/netlink/index.ts";
import { type ActualState, type HostRtnl, listHost } from "../host/index.ts";
import type { Rtnl } from "../kernel/index.ts";
import { AgentError } from "./errors.ts";
import { chooseInterface, describeInterface, type InterfaceOptions, type Pin } from "./external-interface.ts";
import type { Log } from "./log.ts";

type Listing = Pick<ActualState, "links" | "addresses" | "routes">;

export interface UnderlayOptions {
  /** As it was chosen at the start. */
  readonly external: ExternalInterface;
  readonly interfaceOptions: InterfaceOptions;
  readonly pin?: Pin | undefined;
  /** What the interface had at the start. */
  readonly listing: Listing;
  /** Throws when the node cannot be there. */
  readonly refuse?: ((external: ExternalInterface, listing: Listing) => void) | undefined;
}

/** What of the interface is another than it was. */
type OnChange = (now: ExternalInterface, before: ExternalInterface) => void;

/**
 * The interface the nodes reach each other by, followed through whatever becomes of it: it keeps its name, and may get
 * another index, MTU or address. An address stays in use for as long as it is there.
 */
export class Underlay {
  readonly #options: UnderlayOptions;
  /** `--public-ip` that an interface of this node had. */
  readonly #ownPublic: readonly IpAddress[];
  #now: ExternalInterface;
  #onChange: OnChange | undefined;

  /** The one that the options choose. @throws {AgentError} */
  static choose(
    rtnl: HostRtnl & Pick<Rtnl, "routeTo">,
    asked: InterfaceOptions,
    log: Log,
    refuse: UnderlayOptions["refuse"],
  ): Underlay {
    const listing = listHost(rtnl);
    const { name, why, addresses, pin } = chooseInterface(listing, asked, (address) => rtnl.routeTo(address));
    const external = describeInterface(listing, name, { ...asked, prefer: addresses });
    if (!external) throw new AgentError(`Cannot use interface ${name}: it went away while it was being looked at`);
    const { name: _name, ...rest } = external;
    log.info({ interface: name, ...rest }, `using interface ${name}: ${why}`);
    refuse?.(external, listing);
    return new Underlay({ external, interfaceOptions: asked, pin, listing, refuse });
  }

  constructor(options: UnderlayOptions) {
    const { publicIp, publicIpv6 } = options.interfaceOptions;
    this.#options = options;
    this.#now = options.external;
    this.#ownPublic = [publicIp, publicIpv6].filter(
      (address) => address !== undefined && addressesOf(options.listing, options.external.index).includes(address),
    ) as IpAddress[];
  }

  /** As it was last seen. */
  get external(): ExternalInterface {
    return this.#now;
  }

  /** As the listing has it, from now on. @throws {AgentError} while the node cannot be reached by it */
  follow(listing: Listing): ExternalInterface {
    const [now, before] = [this.look(listing), this.#now];
    this.#now = now;
    if (!isSame(now, before)) this.#onChange?.(now, before);
    return now;
  }

  /** Calls `onChange` whenever follow() finds another address, index or MTU. */
  listen(onChange: OnChange): void {
    this.#onChange = onChange;
  }

  /** As the listing has it; changes nothing. @throws {AgentError} */
  look(listing: Listing): ExternalInterface {
    const { interfaceOptions, pin, refuse } = this.#options;
    const { name } = this.#now;
    const index = listing.links.find((link) => link.name === name)?.index;
    const present = index === undefined ? [] : addressesOf(listing, index);
    const inUse = [this.#now.address, this.#now.ipv6Address].filter((address) => address !== undefined);
    const prefer = [
      ...inUse.filter((address) => !pin || pin.matches(address)),
      ...present.filter((a) => pin?.matches(a)),
    ];
    const now = describeInterface(listing, name, { ...interfaceOptions, prefer });
    if (!now) throw new AgentError(`interface ${name} is not there; waiting for it`);
    for (const family of interfaceOptions.families) this.#requireAddress(now, family, listing);
    const lost = this.#ownPublic.find((address) => !present.includes(address));
    if (lost !== undefined) throw this.#gone(`--public-ip ${lost}`, now, present);
    if (!isSame(now, this.#now)) refuse?.(now, listing);
    return now;
  }

  #requireAddress(now: ExternalInterface, family: IpFamily, listing: Listing): void {
    const { pin } = this.#options;
    const [address, before] =
      family === 4 ? [now.address, this.#now.address] : [now.ipv6Address, this.#now.ipv6Address];
    const had = before === undefined ? "" : ` (it had ${before})`;
    // The others may be behind a router: a link-local address is what is left when the real one went.
    if (address === undefined || (address !== before && isLinkLocal(address, listing)))
      throw new AgentError(`interface ${now.name} has no IPv${family} address${had}; waiting for one`);
    if (pin?.families.includes(family) && !pin.matches(address))
      throw this.#gone(pin.option, now, addressesOf(listing, now.index));
  }

  #gone(option: string, { name }: ExternalInterface, present: readonly IpAddress[]): AgentError {
    return new AgentError(
      `interface ${name} has no address any more that ${option} asks for; it has ${present.join(", ") || "none"}; ` +
        `give it back, or restart the agent with another ${option.split(" ")[0]}`,
    );
  }
}

function addressesOf({ addresses }: Listing, index: number): IpAddress[] {
  return addresses.filter((address) => address.index === index).map(({ prefix }) => prefix.address);
}

function isLinkLocal(address: IpAddress, { addresses }: Listing): boolean {
  return addresses.some(({ prefix, scope }) => prefix.address === address && scope === RT_SCOPE_LINK);
}

/** For the log: `address 192.168.100.11 -> 192.168.100.99, MTU 1500 -> 9000`. */
export function changesOf(now: ExternalInterface, before: ExternalInterface): string {
  const pairs: [string, unknown, unknown][] = [
    ["address", before.address, now.address],
    ["address", before.ipv6Address, now.ipv6Address],
    ["MTU", before.mtuBytes, now.mtuBytes],
    ["index", before.index, now.index],
  ];
  const changed = pairs.filter(([, was, is]) => was !== is);
  return changed.map(([what, was, is]) => `${what} ${was ?? "none"} -> ${is ?? "none"}`).join(", ");
}

function isSame(a: ExternalInterface, b: ExternalInterface): boolean {
  return (
    a.index === b.index &&
    a.mtuBytes === b.mtuBytes &&
    a.address === b.address &&
    a.ipv6Address === b.ipv6Address &&
    a.publicIp === b.publicIp &&
    a.publicIpv6 === b.publicIpv6
  );
}
