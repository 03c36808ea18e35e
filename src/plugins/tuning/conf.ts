import { readFileSync } from "node:fs";
import {
  booleanField,
  CNI_ERROR,
  CniError,
  integerField,
  knownArgs,
  objectField,
  stringField,
} from "../../formats/cni/index.ts";
import { type MacAddress, ParseError, parseMac } from "../../formats/netip/index.ts";
import { isNotFound } from "../../kernel/index.ts";
import type { Call } from "../plugin.ts";

export interface TuningConf {
  /** By their paths below /proc/sys, with the values that they shall have. */
  readonly sysctls: ReadonlyMap<string, string>;
  readonly mac?: MacAddress;
  readonly mtu?: number;
  readonly promisc: boolean;
  readonly allmulti: boolean;
  readonly txQLen?: number;
  readonly dataDir: string;
}

/** Where the reference keeps what an interface was before. */
const DEFAULT_DATA_DIR = "/run/cni/tuning";
/** Regular expressions, one a line, of which one must match a sysctl's name as the configuration has it. */
const ALLOWLIST = "/etc/cni/tuning/allowlist.conf";

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, `tuning: ${message}`);
}

/** @throws {CniError} code 7, or 4 for CNI_ARGS */
export function readTuningConf(call: Pick<Call, "conf" | "args" | "ifName">): TuningConf {
  const { raw, runtimeConfig, args } = call.conf;
  const mac =
    stringField(runtimeConfig, "mac") ||
    stringField(args, "mac") ||
    knownArgs(call.args, ["MAC", "IP"]).MAC ||
    stringField(raw, "mac");
  const [mtu, txQLen] = [integerField(raw, "mtu") ?? 0, integerField(raw, "txQLen")];
  if (mtu < 0 || mtu > 65535) return invalid(`invalid mtu ${mtu}: want 68 to 65535, or 0 to leave it`);
  if (txQLen !== undefined && txQLen < 0) return invalid(`invalid txQLen ${txQLen}`);
  return {
    sysctls: sysctlsOf(call),
    ...(mac ? { mac: macOf(mac) } : {}),
    ...(mtu > 0 ? { mtu } : {}),
    ...(txQLen === undefined ? {} : { txQLen }),
    promisc: booleanField(raw, "promisc") ?? false,
    allmulti: booleanField(raw, "allmulti") ?? false,
    dataDir: stringField(raw, "dataDir") || DEFAULT_DATA_DIR,
  };
}

function macOf(text: string): MacAddress {
  try {
    return parseMac(text);
  } catch (e) {
    if (e instanceof ParseError) return invalid(`invalid MAC address ${JSON.stringify(text)}: ${e.message}`);
    throw e;
  }
}

function sysctlsOf({ conf, ifName }: Pick<Call, "conf" | "ifName">): Map<string, string> {
  const given = objectField(conf.raw, "sysctl") ?? {};
  const sysctls = new Map<string, string>();
  let allowed: RegExp[] | undefined;
  for (const name of Object.keys(given)) {
    const value = given[name];
    if (typeof value !== "string")
      return invalid(`sysctl ${name}: the value must be a string, not ${JSON.stringify(value)}`);
    allowed ??= allowlist();
    if (allowed.length > 0 && !allowed.some((each) => each.test(name)))
      return invalid(`sysctl ${name} is not allowed: no line of ${ALLOWLIST} matches it`);
    sysctls.set(sysctlPath(name, ifName), value);
  }
  return sysctls;
}

/**
 * As sysctl(8): the separator is whichever of `.` and `/` comes first, and the other then stands for it in a name, an
 * interface's. IFNAME is the container's interface. Nothing but `net`: all else is not the namespace's alone.
 */
export function sysctlPath(name: string, ifName: string): string {
  const first = /[./]/.exec(name)?.[0];
  const swapped = first === "/" ? name : name.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
  const parts = swapped.split("/").map((part) => (part === "IFNAME" ? ifName : part));
  if (parts[0] !== "net" || parts.length < 2 || parts.some((part) => part === "" || part === "." || part === ".."))
    return invalid(`invalid net sysctl key: ${JSON.stringify(name)}; want one like net.core.somaxconn`);
  return parts.join("/");
}

function allowlist(): RegExp[] {
  let text: string;
  try {
    text = readFileSync(ALLOWLIST, "utf8");
  } catch (e) {
    if (isNotFound(e)) return [];
    throw e;
  }
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      try {
        return new RegExp(line);
      } catch {
        return invalid(`${ALLOWLIST}: ${JSON.stringify(line)} is no regular expression`);
      }
    });
}
