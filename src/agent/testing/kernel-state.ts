// A node's network state as a set of lines, one a fact, in words that are the same on every node: so that the state our
// agent makes can be compared with the one that Flannel's daemon makes.
import { readFileSync } from "node:fs";
import { addToIp, lastAddress, type Prefix, prefixFamily } from "../../formats/netip/index.ts";
import { readSysctl } from "../../kernel/index.ts";
import type { TestNode } from "./cluster.ts";
import type { Member } from "./mixed-cluster.ts";

type Item = Readonly<Record<string, unknown>>;

/** Devices that the test made. */
const OF_THE_TEST = new Set(["lo", "cni0", "veth0"]);
/** What counts or numbers things, and says nothing of how packets go. */
const NOT_STATE = new Set(["ifindex", "link_index", "link_netnsid", "handle"]);

/** `other`: the node it is compared with. What one has of itself the other has of it, so both get a word. */
export function kernelState(member: Member, other: Member): Set<string> {
  const { node } = member;
  const links = node.json("ip -j -d addr show").filter(({ ifname }) => !OF_THE_TEST.has(String(ifname)));
  const devices = links.map(({ ifname }) => String(ifname)).filter((name) => name.startsWith("flannel"));
  const lines = [
    ...links.flatMap((link) => facts(`link ${link.ifname}`, link)),
    ...["-4", "-6"].flatMap((family) => listings(node, family)),
    ...devices.flatMap((device) => [
      ...node.json(`bridge -j -d fdb show dev ${device}`).flatMap((f) => facts(`fdb ${device} ${f.mac} ${f.dst}`, f)),
      `sysctl ${device} accept_ra = ${readSysctl(`net/ipv6/conf/${device}/accept_ra`, node.ns)}`,
    ]),
    ...rules(node),
    ...readFileSync(node.subnetFile, "utf8")
      .split("\n")
      .map((line) => `subnet.env ${line}`),
  ];
  const words = [...wordsOf(member, "self"), ...wordsOf(other, "other")];
  return new Set(lines.map((line) => words.reduce((text, [pattern, word]) => text.replace(pattern, word), line)));
}

function listings(node: TestNode, family: string): string[] {
  return [
    ...node
      .json(`ip -j -d ${family} route show table all`)
      .filter(({ dev }) => !OF_THE_TEST.has(String(dev)))
      .flatMap((route) => facts(`route ${family} ${route.type} ${route.dst} dev ${route.dev}`, route)),
    ...node.json(`ip -j -d ${family} rule`).flatMap((rule) => facts(`rule ${family} ${rule.priority}`, rule)),
    ...node
      .json(`ip -j -d ${family} neigh show nud permanent`)
      .flatMap((neighbour) => facts(`neigh ${neighbour.dev} ${neighbour.dst}`, neighbour)),
  ];
}

/** The ruleset in its order, and the comments, which nft leaves out of its JSON. */
function rules(node: TestNode): string[] {
  const { nftables } = JSON.parse(node.run("nft -j list ruleset")) as { nftables: Record<string, Item>[] };
  const places = new Map<string, number>();
  const objects = nftables.flatMap((entry) =>
    Object.entries(entry).map(([kind, object]) => {
      const owner = [object.family, object.table ?? object.name, object.chain].filter(Boolean).join(" ");
      const place = `nft ${owner} ${kind}`;
      const nth = (places.get(place) ?? 0) + 1;
      places.set(place, nth);
      return `${place} ${nth} ${JSON.stringify({ ...object, handle: undefined })}`;
    }),
  );
  const comments = node.run("nft list ruleset").matchAll(/^\s*(?:comment|.*comment) "([^"]*)"/gm);
  return [
    ...objects.filter((line) => !line.startsWith("nft metainfo")),
    ...[...comments].map(([, c]) => `nft comment ${c}`),
  ];
}

/** `link flannel.1 linkinfo.info_data.id = 1`, one for each leaf. */
function facts(of: string, item: unknown, path = ""): string[] {
  if (typeof item !== "object" || item === null) return [`${of}${path} = ${item}`];
  if (Array.isArray(item) && item.every((each) => typeof each !== "object"))
    return [`${of}${path} = ${item.join(" ")}`];
  return Object.entries(item)
    .filter(([name]) => !NOT_STATE.has(name))
    .flatMap(([name, value]) => facts(of, value, `${path}${path ? "." : " "}${name}`));
}

function wordsOf({ node, env }: Member, who: string): [RegExp, string][] {
  const words: [string, string][] = [
    ...node.rtnl.links().map(({ address, name }): [string, string] => [String(address), `${who}-mac-of-${name}`]),
    [node.address, `${who}-address`],
    [`fd00:100::${Number(node.address.split(".")[3]).toString(16)}`, `${who}-ipv6-address`],
    ...[env.subnet, env.ipv6Subnet].flatMap((subnet) => (subnet ? subnetWords(subnet, who) : [])),
  ];
  const isWhole = "(?![0-9a-f.:])";
  return [
    ...words.map(([text, word]): [RegExp, string] => [
      new RegExp(`(?<![0-9a-f.:])${text.replaceAll(".", "\\.")}${isWhole}`, "g"),
      word,
    ]),
    // Made of the MAC, by the kernel.
    [/\bfe80::[0-9a-f:]{6,}/g, "link-local"],
  ];
}

function subnetWords(subnet: Prefix, who: string): [string, string][] {
  const name = `${who}-ipv${prefixFamily(subnet)}-subnet`;
  return [
    [subnet.address, name],
    [addToIp(subnet.address, 1), `${name}+1`],
    [lastAddress(subnet), `${name}-last`],
  ];
}
