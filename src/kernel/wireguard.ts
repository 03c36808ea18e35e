import {
  decodeWireGuard,
  describeGenericRequest,
  describeWireGuardRequest,
  dumpWireGuard,
  type GenericFamily,
  setWireGuard,
  WG_GENL_NAME,
  type WireGuardChange,
  type WireGuardDevice,
} from "../formats/netlink/index.ts";
import type { NetlinkError } from "./errors.ts";
import { GenericNetlink } from "./generic-netlink.ts";
import type { NetNs } from "./netns.ts";

/** The settings of a namespace's WireGuard devices: keys and peers, which rtnetlink does not know. */
export class WireGuard implements Disposable {
  readonly #netlink: GenericNetlink;
  readonly #family: GenericFamily;
  readonly #names = new Map<number, string>();

  /** @throws {NetlinkError} ENOENT when the kernel has no WireGuard */
  constructor(netlink: GenericNetlink) {
    this.#netlink = netlink;
    this.#family = netlink.family(WG_GENL_NAME);
    netlink.describeBy((request) =>
      request.type === this.#family.id
        ? describeWireGuardRequest(request, (index) => this.#names.get(index))
        : describeGenericRequest(request),
    );
  }

  /** In `ns`, or where this thread is. @throws {NetlinkError} ENOENT when the kernel has no WireGuard */
  static open(ns?: NetNs): WireGuard {
    const netlink = GenericNetlink.open(ns);
    try {
      return new WireGuard(netlink);
    } catch (error) {
      netlink[Symbol.dispose]();
      throw error;
    }
  }

  /** The device and its secrets. @throws {NetlinkError} ENODEV when there is none, EOPNOTSUPP when it is of another kind */
  device(index: number): WireGuardDevice {
    const device = decodeWireGuard(
      this.#netlink.dump(dumpWireGuard(this.#family, index)).filter(({ type }) => type === this.#family.id),
    );
    this.#names.set(index, device.name);
    return device;
  }

  /** Makes the changes in order, and gives an error for each that the kernel refused, by its `requestIndex`. */
  set(changes: readonly WireGuardChange[]): readonly NetlinkError[] {
    return this.#netlink.run(changes.map((change) => setWireGuard(this.#family, change)));
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }
}
