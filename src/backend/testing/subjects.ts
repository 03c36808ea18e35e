import { formatVxlanBackendData, type LeaseAttrs } from "../../formats/flannel/index.ts";
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
