import type { IpFamily } from "../formats/netip/index.ts";
import { type Command, type Element, printTransaction, replaceTable } from "../formats/nftables/index.ts";
import { gatewayChains, gatewaySets, placeOf } from "./layout.ts";
import { GATEWAY_SETS, type GatewayState } from "./plan.ts";

/** nft text that puts the whole table in the place of what there is, in one transaction. */
export function gatewayRuleset(state: GatewayState): string {
  const place = placeOf(state.family);
  const { chains, rules } = gatewayChains(state.family, state.options);
  const elements = GATEWAY_SETS.map((set) => ({
    kind: "element" as const,
    ...place,
    set,
    elements: [...state.elements[set].values()],
  }));
  return printTransaction(
    // A rule names sets and chains, and an element of a verdict map names a chain: those come first.
    replaceTable({ kind: "table", family: place.family, name: place.table, comment: "Services and NodePorts" }, [
      ...chains,
      ...gatewaySets(state.family),
      ...rules,
      ...elements,
    ]),
  );
}

/** nft text that removes the table, whether or not it is there. */
export function gatewayCleanup(family: IpFamily): string {
  const { family: nftFamily, table } = placeOf(family);
  return printTransaction([{ verb: "destroy", object: { kind: "table", family: nftFamily, name: table } }]);
}

/**
 * nft text of the element differences, "" when there are none. A changed value is a deletion and an addition.
 * @throws {TypeError} for states whose chains differ, which gatewayRuleset() alone can change
 */
export function gatewayUpdate(from: GatewayState, to: GatewayState): string {
  if (from.family !== to.family || from.options !== to.options)
    throw new TypeError("gatewayUpdate: want two states of one family with the same options");
  const place = placeOf(to.family);
  const commands = { delete: [] as Command[], add: [] as Command[] };
  for (const set of GATEWAY_SETS) {
    const { gone, come } = differences(from.elements[set], to.elements[set]);
    if (gone.length > 0)
      commands.delete.push({ verb: "delete", object: { kind: "element", ...place, set, elements: gone } });
    if (come.length > 0) commands.add.push({ verb: "add", object: { kind: "element", ...place, set, elements: come } });
  }
  return printTransaction([...commands.delete, ...commands.add]);
}

function differences(
  from: ReadonlyMap<string, Element>,
  to: ReadonlyMap<string, Element>,
): { gone: Element[]; come: Element[] } {
  return {
    gone: [...from].filter(([key, element]) => !isSame(element, to.get(key))).map(([, element]) => element),
    come: [...to].filter(([key, element]) => !isSame(element, from.get(key))).map(([, element]) => element),
  };
}

/** Of two elements with one key. Compared part by part: printing all of 10,000 Services takes a second. */
function isSame(a: Element, b: Element | undefined): boolean {
  return b !== undefined && a.comment === b.comment && valueText(a.value) === valueText(b.value);
}

function valueText(value: Element["value"]): string {
  if (value === undefined) return "";
  if ("verdict" in value) return "chain" in value ? `${value.verdict} ${value.chain}` : value.verdict;
  return value.join(" ");
}
