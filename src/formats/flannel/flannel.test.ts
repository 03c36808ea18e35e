import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { ipFromBytes, isIpv4, maskPrefix, type Prefix, parseIpv4, parseIpv6, parsePrefix } from "../netip/index.ts";
import {
  FlannelError,
  formatLeaseAttrs,
  formatSubnetEnv,
  formatSubnetKey,
  formatVxlanBackendData,
  type LeaseAttrs,
  parseLeaseAttrs,
  parseSubnetEnv,
  parseSubnetKey,
  parseVxlanBackendData,
  parseVxlanOptions,
} from "./index.ts";
import { formatGoJson, type JsonValue } from "./json.ts";

const golden = (name: string): string =>
  readFileSync(new URL(`../../../testdata/flannel/${name}`, import.meta.url), "utf8");

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes).filter(isIpv4);
const ipv6 = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map(ipFromBytes)
  .filter((ip) => !isIpv4(ip));
const prefix4 = fc
  .tuple(ipv4, fc.integer({ min: 1, max: 31 }))
  .map(([address, length]) => maskPrefix({ address, length }));
const prefix6 = fc
  .tuple(ipv6, fc.integer({ min: 1, max: 127 }))
  .map(([address, length]) => maskPrefix({ address, length }));

test("keys and values that Flannel wrote are read, and written again byte for byte", () => {
  const lines = golden("etcdctl-get.txt").trimEnd().split("\n");
  assert.equal(lines.length, 10);
  for (let i = 0; i < lines.length; i += 2) {
    const key = (lines[i] ?? "").replace("/coreos.com/network/subnets/", "");
    const value = lines[i + 1] ?? "";
    assert.equal(formatSubnetKey(parseSubnetKey(key)), key);
    assert.equal(formatLeaseAttrs(parseLeaseAttrs(value)), value);
  }
});

test("parseSubnetKey() reads one family or both, and no IPv4 from 0.0.0.0-0", () => {
  assert.deepEqual(parseSubnetKey("10.5.67.0-24"), { subnet: parsePrefix("10.5.67.0/24") });
  assert.deepEqual(parseSubnetKey("10.5.71.0-24&2001:cafe:42:57::-64"), {
    subnet: parsePrefix("10.5.71.0/24"),
    ipv6Subnet: parsePrefix("2001:cafe:42:57::/64"),
  });
  assert.deepEqual(parseSubnetKey("0.0.0.0-0&2001:cafe:42:2f::-64"), {
    ipv6Subnet: parsePrefix("2001:cafe:42:2f::/64"),
  });
});

const BAD_KEYS = [
  "",
  "10",
  "10.12.13.0",
  "10.12.13-24",
  "10.12.13.0-",
  "10.12.13.0-32",
  "10.12.13.0/24",
  "10.12.13.256-24",
];
const BAD_DUAL_KEYS = [
  "10.12.13.0-24&",
  "10.12.13.0-24&fd00::",
  "10.12.13.0-24&fd00::-128",
  "10.12.13.0-24&fd00:::-64",
  "10.12.13.0-24&FD00::-64",
  "10.12.13.0-24&fd00::-64 ",
  "0.0.0.0-0",
  "0.0.0.0-0&::-0",
  "10.12.13.1-24",
  "10.12.13.0-24&fd00::1-64",
  "010.12.13.0-24",
  "note/10.12.13.0-24",
  "10.12.13.0-999999999999",
];

test("parseSubnetKey() refuses what is not a subnet, what would be a default route, and host bits", () => {
  for (const key of [...BAD_KEYS, ...BAD_DUAL_KEYS]) assert.throws(() => parseSubnetKey(key), FlannelError, key);
});

test("subnet keys round-trip; any other text gives FlannelError", () => {
  fc.assert(
    fc.property(fc.option(prefix4, { nil: undefined }), prefix6, fc.boolean(), (subnet, six, dual) => {
      const key = subnet ? { subnet, ...(dual && { ipv6Subnet: six }) } : { ipv6Subnet: six };
      assert.deepEqual(parseSubnetKey(formatSubnetKey(key)), key);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => assert.throws(() => parseSubnetKey(text), FlannelError)));
});

test("formatGoJson() is Go's json.Marshal", () => {
  const lines = golden("go-json.txt").trimEnd().split("\n");
  assert.equal(lines.length, 7);
  for (const line of lines) assert.equal(formatGoJson(JSON.parse(line) as JsonValue), line);
  const attrs: LeaseAttrs = { publicIp: parseIpv4("10.0.0.1"), backendType: "extension", backendData: "<&>" };
  assert.equal(
    formatLeaseAttrs(attrs),
    '{"PublicIP":"10.0.0.1","PublicIPv6":null,"BackendType":"extension","BackendData":"\\u003c\\u0026\\u003e"}',
  );
});

test("lease attributes round-trip", () => {
  // JSON has no -0 and no __proto__ that an object literal could compare with.
  const json = fc.jsonValue({ noUnicodeString: false }).map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
  const optional = <T>(name: string, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<object> =>
    fc.oneof(
      fc.constant({}),
      arbitrary.map((value) => ({ [name]: value })),
    );
  fc.assert(
    fc.property(
      ipv4,
      optional("publicIpv6", ipv6),
      fc.string(),
      optional("backendData", json),
      optional("backendV6Data", json),
      (publicIp, v6, backendType, data, data6) => {
        const attrs = { publicIp, ...v6, backendType, ...data, ...data6 } as LeaseAttrs;
        assert.deepEqual(parseLeaseAttrs(formatLeaseAttrs(attrs)), attrs);
      },
    ),
  );
});

const BAD_ATTRS: [string, string][] = [
  ["", ""],
  ["hello", ""],
  ["null", ""],
  ["[]", ""],
  ['"x"', ""],
  ["{", ""],
  ["{}", "PublicIP"],
  ['{"PublicIP":null}', "PublicIP"],
  ['{"PublicIP":7}', "PublicIP"],
  ['{"PublicIP":"1.2.3"}', "PublicIP"],
  ['{"PublicIP":"fd00::1"}', "PublicIP"],
  ['{"PublicIP":"1.2.3.4","PublicIPv6":"1.2.3.4"}', "PublicIPv6"],
  ['{"PublicIP":"1.2.3.4","BackendType":{}}', "BackendType"],
  [`{"PublicIP":"1.2.3.4","BackendData":${"[".repeat(50_000)}${"]".repeat(50_000)}}`, ""],
];

test("parseLeaseAttrs() names the field that is wrong", () => {
  for (const [text, field] of BAD_ATTRS)
    assert.throws(
      () => parseLeaseAttrs(text),
      (error) => error instanceof FlannelError && error.field === field,
      text,
    );
  fc.assert(fc.property(fc.json(), (text) => assert.throws(() => parseLeaseAttrs(text), FlannelError)));
});

test("parseLeaseAttrs() reads keys in any case and ignores those it does not know", () => {
  assert.deepEqual(parseLeaseAttrs('{"publicip":"1.2.3.4","Extra":[1],"__proto__":{"PublicIP":"9.9.9.9"}}'), {
    publicIp: parseIpv4("1.2.3.4"),
    backendType: "",
  });
});

test("vxlan backend data is Flannel's, VtepMAC last", () => {
  const data = parseVxlanBackendData({ VNI: 1, VtepMAC: "22:FB:a7:a4:32:0e" });
  assert.equal(JSON.stringify(formatVxlanBackendData(data)), '{"VNI":1,"VtepMAC":"22:fb:a7:a4:32:0e"}');
  for (const bad of [undefined, null, "x", [], {}, { VtepMAC: "x" }, { VtepMAC: "01:00:5e:00:00:01" }])
    assert.throws(() => parseVxlanBackendData(bad), FlannelError);
  assert.throws(() => parseVxlanBackendData({ VNI: 2 ** 24, VtepMAC: "22:fb:a7:a4:32:0e" }), /VNI/);
});

test("vxlan options have Flannel's defaults, keys in any case", () => {
  assert.deepEqual(parseVxlanOptions({ Type: "vxlan" }), {
    vni: 1,
    port: 0,
    gbp: false,
    learning: false,
    directRouting: false,
  });
  assert.deepEqual(
    parseVxlanOptions({ vni: 7, PORT: 4789, GBP: true, Learning: true, directrouting: true, MTU: 1400 }),
    {
      vni: 7,
      port: 4789,
      mtuBytes: 1400,
      gbp: true,
      learning: true,
      directRouting: true,
    },
  );
  for (const bad of [{ VNI: -1 }, { VNI: "1" }, { Port: 65_536 }, { MTU: 1.5 }, { GBP: 1 }])
    assert.throws(() => parseVxlanOptions(bad as never), FlannelError);
});

test("subnet.env that Flannel wrote is read, and written again byte for byte", () => {
  for (const name of ["subnet.env", "subnet-dual.env"])
    assert.equal(formatSubnetEnv(parseSubnetEnv(golden(name))), golden(name));
  const env = parseSubnetEnv(golden("subnet-dual.env"));
  assert.deepEqual(env.subnet, parsePrefix("10.5.67.0/24"));
  assert.deepEqual(env.ipv6Subnet, parsePrefix("2001:cafe:42:57::/64"));
  assert.equal(env.mtuBytes, 1450);
});

test("parseSubnetEnv() reads several networks, drops duplicates, takes quotes and comments", () => {
  const text = '# made by hand\nFLANNEL_NETWORK="10.5.0.0/16,10.6.0.0/16,10.5.0.0/16"\r\nFLANNEL_SUBNET=10.5.1.1/24\n';
  const env = parseSubnetEnv(`${text}FLANNEL_MTU=1450\nFLANNEL_IPMASQ=0\nOTHER=x\n`);
  assert.deepEqual(env.networks, ["10.5.0.0/16", "10.6.0.0/16"].map(parsePrefix));
  assert.equal(env.ipMasq, false);
});

test("parseSubnetEnv() names every line that is missing, and the one that is wrong", () => {
  assert.throws(() => parseSubnetEnv(""), /FLANNEL_NETWORK.*FLANNEL_SUBNET.*FLANNEL_MTU.*FLANNEL_IPMASQ/);
  const good = golden("subnet.env");
  for (const [from, to, field] of [
    ["10.5.0.0/16", "10.5.0.0", "FLANNEL_NETWORK"],
    ["10.5.67.1/24", "fd00::1/64", "FLANNEL_SUBNET"],
    ["1450", "many", "FLANNEL_MTU"],
    ["true", "perhaps", "FLANNEL_IPMASQ"],
  ] as const)
    assert.throws(
      () => parseSubnetEnv(good.replace(from, to)),
      (error) => error instanceof FlannelError && error.field === field,
    );
});

test("subnet.env round-trips", () => {
  const env = (networks: Prefix[], subnet: Prefix, six: Prefix, mtuBytes: number, ipMasq: boolean): void => {
    const value = { networks, subnet, ipv6Networks: [six], ipv6Subnet: six, mtuBytes, ipMasq };
    assert.deepEqual(parseSubnetEnv(formatSubnetEnv(value)), value);
  };
  const networks = fc.uniqueArray(prefix4, { minLength: 1, maxLength: 3, selector: (p) => `${p.address}/${p.length}` });
  fc.assert(fc.property(networks, prefix4, prefix6, fc.integer({ min: 1, max: 65_535 }), fc.boolean(), env));
});

test("addresses of the wrong family do not pass for a PublicIPv6", () => {
  const attrs: LeaseAttrs = { publicIp: parseIpv4("0.0.0.0"), publicIpv6: parseIpv6("fd77::2"), backendType: "" };
  assert.equal(formatLeaseAttrs(attrs), '{"PublicIP":"0.0.0.0","PublicIPv6":"fd77::2"}');
});
