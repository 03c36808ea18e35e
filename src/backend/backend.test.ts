import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseNetworkConfig } from "../formats/flannel/index.ts";
import { backendContract } from "./backend.contract.ts";
import { BackendError, openBackend } from "./index.ts";
import { MemoryKernel } from "./testing/memory-kernel.ts";
import { SUBJECTS } from "./testing/subjects.ts";

for (const subject of SUBJECTS) backendContract(subject);

describe("openBackend()", () => {
  for (const type of ["ipsec", "tencent-vpc", "constructor"])
    it(`refuses a backend it does not have, ${type}, and names those it has`, () => {
      const network = parseNetworkConfig(JSON.stringify({ Network: "10.244.0.0/16", Backend: { Type: type } }));
      const log = { debug() {}, info() {}, warn() {}, error() {} };
      assert.throws(
        () => openBackend({ rtnl: new MemoryKernel(), network, log }),
        (error) =>
          error instanceof BackendError &&
          error.message.includes(JSON.stringify(type)) &&
          error.message.includes("vxlan, host-gw"),
      );
    });
});
