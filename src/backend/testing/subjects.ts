import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatVxlanBackendData, formatWireguardBackendData, type LeaseAttrs } from "../../formats/flannel/index.ts";
import { type IpAddress, parseIpv4, parseIpv6, parseMac } from "../../formats/netip/index.ts";
import type { BackendSubject } from "../backend.contract.ts";
import { deriveVtepMac } from "../vxlan/mac.ts";

/** No number that a device of this machine is likely to have. */
const VNI = 4242;

const addresses = (n: number): Pick<LeaseAttrs, "publicIp" | "publicIpv6"> => ({
  publicIp: parseIpv4(`192.168.100.${n}`),
  publicIpv6: parseIpv6(`fd00:100::${n.toString(16)}`),
});
const vtep = (ip: IpAddress): string => `{"VNI":${VNI},"VtepMAC":"${deriveVtepMac(ip, VNI)}"}`;
const [V4, V6] = [parseIpv4("192.168.100.11"), parseIpv6("fd00:100::b")];

// The node's key, as in testdata/netlink/make-tunnels.mjs, and what wg pubkey says of it.
const KEY_DIR = mkdtempSync(join(tmpdir(), "podpath-wgkey-"));
process.once("exit", () => rmSync(KEY_DIR, { recursive: true, force: true }));
process.env.WIREGUARD_KEY_FILE = join(KEY_DIR, "wgkey");
writeFileSync(join(KEY_DIR, "wgkey"), "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", { mode: 0o400 });
const PUBLIC_KEY = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

/** The backends that run the contract, with the bytes that Flannel's leases have. */
export const SUBJECTS: readonly BackendSubject[] = [
  {
    config: { Type: "vxlan", VNI },
    deviceNames: { 4: `flannel.${VNI}`, 6: `flannel-v6.${VNI}` },
    leaseValues: {
      v4: `{"PublicIP":"192.168.100.11","PublicIPv6":null,"BackendType":"vxlan","BackendData":${vtep(V4)}}`,
      dual: `{"PublicIP":"192.168.100.11","PublicIPv6":"fd00:100::b","BackendType":"vxlan","BackendData":${vtep(V4)},"BackendV6Data":${vtep(V6)}}`,
      v6: `{"PublicIP":"0.0.0.0","PublicIPv6":"fd00:100::b","BackendType":"vxlan","BackendV6Data":${vtep(V6)}}`,
    },
    mtuBytes: { v4: 1450, dual: 1430, v6: 1430 },
    peerAttrs: (n) => {
      const data = formatVxlanBackendData({
        vni: VNI,
        vtepMac: parseMac(`02:00:00:00:00:${n.toString(16).padStart(2, "0")}`),
      });
      return { ...addresses(n), backendType: "vxlan", backendData: data, backendV6Data: data };
    },
    nextHop: "device",
  },
  {
    config: { Type: "host-gw" },
    deviceNames: {},
    leaseValues: {
      v4: '{"PublicIP":"192.168.100.11","PublicIPv6":null,"BackendType":"host-gw"}',
      dual: '{"PublicIP":"192.168.100.11","PublicIPv6":"fd00:100::b","BackendType":"host-gw"}',
      v6: '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00:100::b","BackendType":"host-gw"}',
    },
    mtuBytes: { v4: 1500, dual: 1500, v6: 1500 },
    peerAttrs: (n) => ({ ...addresses(n), backendType: "host-gw" }),
    nextHop: "public",
  },
  {
    config: { Type: "ipip" },
    deviceNames: { 4: "flannel.ipip" },
    linkKind: "ipip",
    leaseValues: { v4: '{"PublicIP":"192.168.100.11","PublicIPv6":null,"BackendType":"ipip"}' },
    mtuBytes: { v4: 1480 },
    peerAttrs: (n) => ({ ...addresses(n), backendType: "ipip" }),
    nextHop: "tunnel",
  },
  {
    config: { Type: "wireguard" },
    deviceNames: { 4: "flannel-wg", 6: "flannel-wg-v6" },
    linkKind: "wireguard",
    leaseValues: {
      v4: `{"PublicIP":"192.168.100.11","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"${PUBLIC_KEY}","Port":51820}}`,
      dual: `{"PublicIP":"192.168.100.11","PublicIPv6":"fd00:100::b","BackendType":"wireguard","BackendData":{"PublicKey":"${PUBLIC_KEY}","Port":51820},"BackendV6Data":{"PublicKey":"${PUBLIC_KEY}","Port":51821}}`,
      v6: `{"PublicIP":"0.0.0.0","PublicIPv6":"fd00:100::b","BackendType":"wireguard","BackendV6Data":{"PublicKey":"${PUBLIC_KEY}","Port":51821}}`,
    },
    mtuBytes: { v4: 1420, dual: 1420, v6: 1420 },
    peerAttrs: (n) => {
      const publicKey = Buffer.alloc(32, n).toString("base64");
      const data = (port: number): LeaseAttrs["backendData"] & {} => formatWireguardBackendData({ publicKey, port });
      return { ...addresses(n), backendType: "wireguard", backendData: data(51820), backendV6Data: data(51821) };
    },
    nextHop: "network",
  },
  {
    config: { Type: "extension" },
    deviceNames: {},
    leaseValues: {
      v4: '{"PublicIP":"192.168.100.11","PublicIPv6":null,"BackendType":"extension"}',
      dual: '{"PublicIP":"192.168.100.11","PublicIPv6":"fd00:100::b","BackendType":"extension"}',
      v6: '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00:100::b","BackendType":"extension"}',
    },
    mtuBytes: { v4: 1500, dual: 1500, v6: 1500 },
    peerAttrs: (n) => ({ ...addresses(n), backendType: "extension" }),
    nextHop: "elsewhere",
  },
  {
    config: { Type: "udp" },
    deviceNames: { 4: "flannel0" },
    premade: [{ name: "flannel0", kind: { kind: "other", name: "tun" }, mtu: 1472 }],
    leaseValues: { v4: '{"PublicIP":"192.168.100.11","PublicIPv6":null}' },
    mtuBytes: { v4: 1472 },
    peerAttrs: (n) => ({ ...addresses(n), backendType: "" }),
    nextHop: "network",
  },
  {
    config: { Type: "alloc" },
    deviceNames: {},
    leaseValues: {
      v4: '{"PublicIP":"192.168.100.11","PublicIPv6":null}',
      dual: '{"PublicIP":"192.168.100.11","PublicIPv6":"fd00:100::b"}',
      v6: '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00:100::b"}',
    },
    mtuBytes: { v4: 1500, dual: 1500, v6: 1500 },
    peerAttrs: (n) => ({ ...addresses(n), backendType: "" }),
    nextHop: "none",
  },
];
