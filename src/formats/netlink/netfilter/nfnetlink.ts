/** struct nfgenmsg { __u8 nfgen_family; __u8 version; __be16 res_id; } (include/uapi/linux/netfilter/nfnetlink.h) */
export const NFGENMSG_BYTES = 4;

export function nfgenmsg(family: number): Uint8Array {
  return Uint8Array.of(family, 0 /* NFNETLINK_V0 */, 0, 0);
}
