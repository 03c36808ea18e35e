import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatPrefix } from "../netip/index.ts";
import { type AddressPool, FlannelError, parseNetworkConfig } from "./index.ts";

const pool = (p: AddressPool | undefined): string =>
  p ? [formatPrefix(p.network), p.subnetLength, p.subnetMin.address, p.subnetMax.address].join(" ") : "-";
const VXLAN = '"Backend":{"Type":"vxlan"}';

const GOOD: [string, string, string][] = [
  [`{"Network":"10.244.0.0/16",${VXLAN}}`, "10.244.0.0/16 24 10.244.1.0 10.244.255.0", "-"],
  [`{"Network":"10.244.3.7/16",${VXLAN}}`, "10.244.0.0/16 24 10.244.1.0 10.244.255.0", "-"],
  ['{"network":"10.0.0.0/8","enableIPv6":false}', "10.0.0.0/8 24 10.0.1.0 10.255.255.0", "-"],
  ['{"Network":"10.5.0.0/22"}', "10.5.0.0/22 24 10.5.1.0 10.5.3.0", "-"],
  ['{"Network":"10.5.0.0/23"}', "10.5.0.0/23 25 10.5.0.128 10.5.1.128", "-"],
  ['{"Network":"10.5.0.0/28"}', "10.5.0.0/28 30 10.5.0.4 10.5.0.12", "-"],
  ['{"Network":"10.5.0.0/28","SubnetLen":30}', "10.5.0.0/28 30 10.5.0.4 10.5.0.12", "-"],
  ['{"Network":"10.5.0.0/16","SubnetLen":0}', "10.5.0.0/16 24 10.5.1.0 10.5.255.0", "-"],
  [
    '{"Network":"10.5.0.0/16","SubnetLen":26,"SubnetMin":"10.5.4.0","SubnetMax":"10.5.4.192"}',
    "10.5.0.0/16 26 10.5.4.0 10.5.4.192",
    "-",
  ],
  [
    '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56"}',
    "10.5.0.0/16 24 10.5.1.0 10.5.255.0",
    "2001:cafe:42::/56 64 2001:cafe:42:1:: 2001:cafe:42:ff::",
  ],
  [
    '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/63"}',
    "-",
    "fd00::/63 65 fd00::8000:0:0:0 fd00:0:0:1:8000::",
  ],
  [
    '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetLen":56,"IPv6SubnetMin":"fd00:0:0:100::","IPv6SubnetMax":"fd00:0:0:300::"}',
    "-",
    "fd00::/48 56 fd00:0:0:100:: fd00:0:0:300::",
  ],
];

test("parseNetworkConfig() fills in Flannel's defaults", () => {
  for (const [text, four, six] of GOOD) {
    const config = parseNetworkConfig(text);
    assert.equal(pool(config.ipv4), four, text);
    assert.equal(pool(config.ipv6), six, text);
  }
});

test("parseNetworkConfig(): no Backend is udp, Type is lower-cased, the whole Backend is kept", () => {
  assert.equal(parseNetworkConfig('{"Network":"10.5.0.0/16"}').backendType, "udp");
  const config = parseNetworkConfig(
    '{"Network":"10.5.0.0/16","backend":{"type":"VXLAN","VNI":7},"EnableNFTables":true}',
  );
  assert.equal(config.backendType, "vxlan");
  assert.deepEqual(config.backend, { type: "VXLAN", VNI: 7 });
  assert.equal(config.enableNftables, true);
});

const net = (rest: string, network = "10.5.0.0/16"): string => `{"Network":"${network}",${rest}}`;
const net6 = (rest: string, network = "fd00::/48"): string =>
  `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"${network}"${rest}}`;

const BAD: [string, string, RegExp][] = [
  ["", "", /not valid JSON/],
  ["{network}", "", /not valid JSON.*network/],
  ["[]", "", /JSON object/],
  ["{}", "Network", /define a correct Network/],
  ['{"Network":null}', "Network", /define a correct Network/],
  ['{"Network":7}', "Network", /string/],
  ['{"Network":"10.5.0.0"}', "Network", /ADDRESS\/LENGTH/],
  ['{"Network":"fd00::/48"}', "Network", /IPv4/],
  ['{"Network":"10.5.0.0/29"}', "Network", /too small.*\/28/],
  ['{"EnableIPv4":false,"Network":"10.5.0.0/16"}', "EnableIPv4", /at least one/],
  ['{"EnableIPv4":"yes","Network":"10.5.0.0/16"}', "EnableIPv4", /true or false/],
  ['{"EnableIPv6":true,"Network":"10.5.0.0/16"}', "IPv6Network", /define a correct IPv6Network/],
  [net('"SubnetLen":31'), "SubnetLen", /less than \/31/],
  [net('"SubnetLen":17'), "SubnetLen", /at least four subnets.*18/],
  [net('"SubnetLen":"24"'), "SubnetLen", /whole number/],
  [net('"SubnetLen":-1'), "SubnetLen", /whole number/],
  [net('"SubnetMin":"10.6.0.0"'), "SubnetMin", /not in the range of the Network/],
  [net('"SubnetMax":"10.6.0.0"'), "SubnetMax", /not in the range of the Network/],
  [net('"SubnetMin":"10.5.1.1"'), "SubnetMin", /SubnetLen boundary.*write 10\.5\.1\.0/],
  [net('"SubnetMax":"10.5.1.1"'), "SubnetMax", /SubnetLen boundary/],
  [net('"SubnetMin":"10.5.9.0","SubnetMax":"10.5.8.0"'), "SubnetMin", /swap/],
  [net('"SubnetMin":"x"'), "SubnetMin", /IPv4 address/],
  [net('"Backend":"vxlan"'), "Backend", /object/],
  [net('"Backend":null'), "Backend", /object/],
  [net('"Backend":{}'), "Backend.Type", /name a backend/],
  [net('"Backend":{"Type":7}'), "Type", /string/],
  [net6(',"IPv6SubnetLen":127'), "IPv6SubnetLen", /less than \/127/],
  [net6(',"IPv6SubnetLen":49'), "IPv6SubnetLen", /at least four subnets/],
  [net6("", "fd00::/125"), "IPv6Network", /too small.*\/124/],
  [net6(',"IPv6SubnetMin":"fd01::"'), "IPv6SubnetMin", /range of the IPv6Network/],
  [net6(',"IPv6SubnetMax":"fd00::1"'), "IPv6SubnetMax", /IPv6SubnetLen boundary/],
];

test("parseNetworkConfig() names the field that is wrong, and what to do", () => {
  for (const [text, field, why] of BAD)
    assert.throws(
      () => parseNetworkConfig(text),
      (error) => {
        assert.ok(error instanceof FlannelError);
        assert.match(error.message, /^Cannot use the network config/);
        assert.doesNotMatch(error.message, /\n/);
        assert.match(error.message, why, text);
        assert.equal(error.field, field, text);
        return true;
      },
    );
});

test("parseNetworkConfig() throws nothing but FlannelError, whatever it reads", () => {
  const names = fc.constantFrom("Network", "IPv6Network", "SubnetLen", "SubnetMin", "EnableIPv6", "Backend", "type");
  const values = fc.oneof(fc.jsonValue(), fc.constantFrom("10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "::/0", 24, 1e300));
  fc.assert(
    fc.property(fc.dictionary(names, values), (object) => {
      try {
        parseNetworkConfig(JSON.stringify(object));
      } catch (error) {
        assert.ok(error instanceof FlannelError, String(error));
      }
    }),
  );
});
