import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIp, parseMac } from "../../formats/netip/index.ts";
import { RTM_NEWLINK } from "../../formats/netlink/index.ts";
import { fakeRtnl } from "../../kernel/testing/fake-rtnl.ts";
import { BackendError } from "../errors.ts";
import { ensureVxlanDevice, vxlanDeviceSpec } from "./device.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const spec = vxlanDeviceSpec(
  { vni: 1, port: 0, gbp: false, learning: false, directRouting: false },
  { name: "eth0", index: 2, mtuBytes: 1500 },
  parseIp("192.168.100.11"),
  parseMac("0a:00:00:00:00:01"),
);
const [EPERM, ENODEV, EEXIST, ENETUNREACH, EOPNOTSUPP] = [1, 19, 17, 101, 95];

describe("ensureVxlanDevice()", () => {
  for (const [what, errno, message] of [
    ["a kernel without vxlan", EOPNOTSUPP, /Cannot create flannel\.1 .*no vxlan devices.*modprobe vxlan.*CONFIG_VXLAN/],
    ["a VNI that is taken", EEXIST, /another vxlan device has this VNI and port.*Backend\.VNI/],
    ["a missing privilege", EPERM, /CAP_NET_ADMIN/],
    [
      "any other refusal in the kernel's words",
      ENETUNREACH,
      /vxlan id 1, local 192\.168\.100\.11, port 8472.*ENETUNREACH/,
    ],
  ] as const)
    it(`says what to do about ${what}`, () => {
      const { rtnl } = fakeRtnl((request) => ({ errno: request.type === RTM_NEWLINK ? errno : ENODEV }));
      assert.throws(
        () => ensureVxlanDevice({ rtnl, log }, spec),
        (error) => error instanceof BackendError && message.test(error.message),
      );
    });

  it("does not believe in a device that is gone as soon as it was made", () => {
    const { rtnl } = fakeRtnl((request) => (request.type === RTM_NEWLINK ? {} : { errno: ENODEV }));
    assert.throws(() => ensureVxlanDevice({ rtnl, log }, spec), /flannel\.1: somebody deleted it/);
  });
});
