import type { Prefix } from "../netip/index.ts";

/** `/run/flannel/subnet.env`: what the daemon tells the CNI plugin. */
export interface SubnetEnv {
  /** `FLANNEL_NETWORK`; one, or more in files of some Flannel releases. */
  readonly networks: readonly Prefix[];
  /** `FLANNEL_SUBNET` as the subnet itself (`10.5.67.0/24`); the file has its first address (`10.5.67.1/24`). */
  readonly subnet?: Prefix;
  readonly ipv6Networks: readonly Prefix[];
  readonly ipv6Subnet?: Prefix;
  readonly mtuBytes: number;
  readonly ipMasq: boolean;
}

/** The file's text in Flannel's order, each line ended. */
export function formatSubnetEnv(env: SubnetEnv): string {
  throw new Error(`not yet: ${env.mtuBytes}`);
}

/** @throws {FlannelError} naming every line that is missing */
export function parseSubnetEnv(text: string): SubnetEnv {
  throw new Error(`not yet: ${text}`);
}
