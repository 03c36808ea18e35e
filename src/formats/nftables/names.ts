// Checks on everything variable that goes into nft text. nft has no escapes, so what cannot stand is refused.
import { ParseError, parseIp, parsePrefix } from "../netip/index.ts";
import { NftFormatError } from "./errors.ts";

/** NFT_USERDATA comments: NFTNL_UDATA_COMMENT_MAXLEN. */
const COMMENT_MAX_BYTES = 128;
/** NFT_NAME_MAXLEN (linux/netfilter/nf_tables.h), without the final zero. */
const NAME_MAX = 255;

/**
 * Words that nft's grammar keeps for itself where a name stands (`forward` is free, `fwd` is not). Found by offering
 * every word of nft(8) and of libnftables to `nft -c` 1.0.6 as the name of a table and of a chain.
 */
const RESERVED: ReadonlySet<string> = new Set(
  `accept add ah all and arp auto-merge bridge cgroup chain checksum chunk comment comp constant continue counter cpu
   create ct data day dccp define dei delete describe destroy device devices dnat drop dst dup dynamic ecn element
   elements eq esp ether exists expires export exthdr fib flags flow flowtable flush frag fwd gc-interval ge get goto
   gt handle hbh hook hour ibriport ibrname icmp icmpv6 icmpx igmp iif iifgroup iifname iiftype import include index
   inet init insert interval ip ip6 ipsec jhash jump last-entry le limit list log lshift lt map mark masquerade meta
   meter mh missing monitor ne netdev nftrace not notrack numgen obriport obrname offload oif oifgroup oifname oiftype
   options or osf pcp pkttype policy position prefix priority queue quota random redefine redirect reject rename
   replace reset return rshift rt rt0 rt2 rtclassid rule ruleset sctp secmark seed set size skgid skuid snat socket srh
   symhash synproxy table tcp th time timeout tproxy type typeof udp udplite undefine update vlan vmap with xor
   xt`.split(/\s+/),
);

/** The name of a table, chain, set or map. nft cannot quote these. */
export function checkName(name: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_./-]*$/.test(name))
    throw new NftFormatError("name", name, "want a letter, then letters, digits and _ . / -");
  if (name.length > NAME_MAX) throw new NftFormatError("name", name, `longer than ${NAME_MAX} characters`);
  if (RESERVED.has(name)) throw new NftFormatError("name", name, "it is a word of nft's grammar");
  return name;
}

export function quoteComment(comment: string): string {
  if (!isPrintable(comment)) throw new NftFormatError("comment", comment, 'want printable text without "');
  if (new TextEncoder().encode(comment).length > COMMENT_MAX_BYTES)
    throw new NftFormatError("comment", comment, `longer than ${COMMENT_MAX_BYTES} bytes`);
  return `"${comment}"`;
}

/** `"eth1"`: IFNAMSIZ, no `/` and no white space (dev_valid_name), and no `*`, which nft takes for a wildcard. */
export function quoteDevice(device: string): string {
  if (!/^[^\s/:"*\\]{1,15}$/.test(device) || !isPrintable(device) || device === "." || device === "..")
    throw new NftFormatError("device name", device, "no network device can have this name");
  return `"${device}"`;
}

/** One datum of a key or value: an address, a prefix, a MAC, a port, a protocol name, an interface name. */
export type Datum = string | number;

/**
 * One datum as nft text. Strings are addresses, prefixes, MACs, or single words such as `tcp`; nothing with a dot that is not
 * an address, because nft would ask the DNS for it.
 */
export function printDatum(datum: Datum): string {
  if (typeof datum === "number") {
    if (!Number.isSafeInteger(datum) || datum < 0) throw new NftFormatError("number", String(datum), "want 0 or more");
    return String(datum);
  }
  if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(datum)) return datum;
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(datum)) return datum;
  try {
    if (datum.includes("/")) parsePrefix(datum);
    else parseIp(datum);
  } catch (error) {
    if (error instanceof ParseError)
      throw new NftFormatError("value", datum, "want an address, a prefix, a number or a word");
    throw error;
  }
  return datum;
}

function isPrintable(text: string): boolean {
  return [...text].every((character) => character >= " " && character !== '"' && character !== "\x7f");
}
