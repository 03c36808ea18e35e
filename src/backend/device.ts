import type { MacAddress } from "../formats/netip/index.ts";
import { deleteLink, type Link, type LinkSpec, newLink, setLink } from "../formats/netlink/index.ts";
import { isAlreadyExists, isPermission, isUnsupported } from "../kernel/index.ts";
import type { BackendRtnl, Log } from "./backend.ts";
import { BackendError } from "./errors.ts";

/** What a device of a backend shall be. */
export interface DeviceSpec extends LinkSpec {
  readonly mtu: number;
  readonly address?: MacAddress;
}

/** What there is to know of devices of one kind. */
export interface DeviceKind<S extends DeviceSpec> {
  /** What has to be loaded, `vxlan`, and what a kernel has to be built with, `CONFIG_VXLAN`. */
  readonly module: string;
  readonly config: string;
  /** The device in messages: `vxlan id 1, local 192.168.100.11, port 8472`. */
  describe(spec: S): string;
  /** Why the device cannot serve as `spec`, of what the kernel does not let change; undefined: it can. */
  incompatibility(link: Link, spec: S): string | undefined;
  /** What to do when the kernel says EEXIST though no device has the name. */
  taken?(spec: S): string;
}

export interface DeviceContext {
  readonly rtnl: BackendRtnl;
  readonly log: Log;
}

/**
 * Makes the device be and be right. A device that serves is kept: to make it anew would lose packets. Returns it, and
 * whether it had to be made. @throws {BackendError}
 */
export function ensureDevice<S extends DeviceSpec>(
  { rtnl, log }: DeviceContext,
  spec: S,
  kind: DeviceKind<S>,
): { link: Link; isNew: boolean } {
  let link = rtnl.link(spec.name);
  const why = link && kind.incompatibility(link, spec);
  if (link && why !== undefined) {
    log.warn({ device: spec.name }, `replacing ${spec.name}: ${why}`);
    rtnl.execute(deleteLink({ index: link.index }));
    link = undefined;
  }
  const isNew = link === undefined;
  if (isNew) {
    create(rtnl, spec, kind);
    link = rtnl.link(spec.name);
  }
  if (!link) throw new BackendError(`Cannot keep ${spec.name}: somebody deleted it as soon as it was made`);
  const changes = unlike(link, spec);
  if (changes.length > 0) {
    const { mtu, address } = spec;
    log.info({ device: spec.name, mtu, mac: address }, `changing ${spec.name}: ${changes.join(", ")}`);
    rtnl.execute(setLink({ index: link.index, mtu, address }));
    link = { ...link, mtu, ...(address && { address }) };
  }
  return { link, isNew };
}

/** The device as it is, for a look that changes nothing, and what ensureDevice() would change; no link: all of it. */
export function findDevice<S extends DeviceSpec>(
  rtnl: BackendRtnl,
  spec: S,
  kind: DeviceKind<S>,
): { link?: Link; problems: readonly string[] } {
  const link = rtnl.link(spec.name);
  if (!link) return { problems: [`${spec.name} is missing`] };
  const unfit = kind.incompatibility(link, spec);
  return unfit === undefined
    ? { link, problems: unlike(link, spec) }
    : { problems: [`${spec.name} cannot serve: ${unfit}`] };
}

/** What of the device is not as in `spec` and can be changed while it carries packets. */
export function unlike(link: Link, { name, mtu, address }: DeviceSpec): string[] {
  return [
    ...(link.mtu === mtu ? [] : [`the MTU of ${name} is ${link.mtu}, not ${mtu}`]),
    ...(address === undefined || link.address === address
      ? []
      : [`the MAC of ${name} is ${link.address}, not ${address}`]),
  ];
}

/** How messages call a link's kind. */
export function kindOf({ kind }: Link): string {
  if (kind === undefined) return "a device of no kind";
  return kind.kind === "other" ? kind.name : kind.kind;
}

function create<S extends DeviceSpec>(rtnl: BackendRtnl, spec: S, kind: DeviceKind<S>): void {
  try {
    rtnl.execute(newLink(spec));
  } catch (error) {
    const what = `${spec.name} (${kind.describe(spec)})`;
    throw new BackendError(`Cannot create ${what}: ${explain(error, spec, kind)}`, { cause: error });
  }
}

function explain<S extends DeviceSpec>(error: unknown, spec: S, kind: DeviceKind<S>): string {
  const said = error instanceof Error ? error.message : String(error);
  if (isPermission(error)) return "not permitted; run as root or with CAP_NET_ADMIN";
  if (isUnsupported(error))
    return `this kernel has no ${kind.module} devices; load the module (modprobe ${kind.module}), or use a kernel with ${kind.config} (${said})`;
  return (isAlreadyExists(error) && kind.taken?.(spec)) || said;
}
