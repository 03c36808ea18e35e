import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { PcapngWriter } from "./pcapng.ts";
import { goldenCaptures } from "./testing/golden.ts";
import { readPcapng } from "./testing/pcapng-reader.ts";

const [request = new Uint8Array(), reply = new Uint8Array()] =
  goldenCaptures().find((capture) => capture.name === "icmp")?.frames ?? [];
const T0 = 1_795_000_000_123_456_789n;

function written(): Uint8Array {
  const writer = new PcapngWriter();
  const eth0 = writer.addInterface({ name: "node1/eth0", description: "node1, to the fabric" });
  const cni0 = writer.addInterface({ name: "node1/cni0" });
  writer.addPacket({ interfaceId: eth0, timestampNs: T0, frame: request, comment: "hop 1/2 – först", direction: "tx" });
  writer.addPacket({ interfaceId: cni0, timestampNs: T0 + 1n, frame: reply.subarray(0, 61), originalLength: 98 });
  return writer.finish();
}

test("PcapngWriter writes a section, an interface block each and the packets with time, comment and direction", () => {
  const blocks = readPcapng(written());
  const text = (code: number, i: number): string => new TextDecoder().decode(blocks[i]?.options.get(code));
  assert.deepEqual(
    blocks.map((block) => block.type),
    [0x0a0d0d0a, 1, 1, 6, 6],
  );
  assert.deepEqual(
    [text(4, 0), text(2, 1), text(3, 1), text(2, 2)],
    ["podpath", "node1/eth0", "node1, to the fabric", "node1/cni0"],
  );
  assert.deepEqual(blocks[1]?.options.get(9), Uint8Array.of(9));
  const packet = blocks[3]?.body ?? new Uint8Array();
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  assert.equal((BigInt(view.getUint32(4, true)) << 32n) | BigInt(view.getUint32(8, true)), T0);
  assert.deepEqual(packet.slice(20, 20 + request.length), request);
  assert.equal(text(1, 3), "hop 1/2 – först");
  assert.deepEqual(blocks[3]?.options.get(2), Uint8Array.of(2, 0, 0, 0));
});

test("PcapngWriter refuses a packet of an interface that was not added", () => {
  const packet = { interfaceId: 0, timestampNs: T0, frame: request };
  assert.throws(() => new PcapngWriter().addPacket(packet), /interface 0: 0 were added/);
});

test("a comment longer than an option can be is cut at a whole character", () => {
  const writer = new PcapngWriter();
  const interfaceId = writer.addInterface({ name: "a" });
  writer.addPacket({ interfaceId, timestampNs: 0n, frame: request, comment: `x${"ö".repeat(40_000)}` });
  const comment = readPcapng(writer.finish()).at(-1)?.options.get(1) ?? new Uint8Array();
  assert.equal(new TextDecoder("utf-8", { fatal: true }).decode(comment), `x${"ö".repeat(32_767)}`);
});

const READERS: { program: string; args: (file: string) => string[]; want: RegExp[] }[] = [
  {
    program: "tcpdump",
    args: (file) => ["-nn", "-tt", "--nano", "-r", file],
    want: [
      /^1795000000\.123456789 IP 192\.168\.50\.1 > 192\.168\.50\.2: ICMP echo request/m,
      /\.123456790 IP .* echo reply/,
    ],
  },
  {
    program: "tshark",
    args: (file) =>
      ["-n", "-r", file, "-T", "fields"].concat(
        ["frame.interface_name", "frame.interface_description", "frame.time_epoch", "frame.comment"].flatMap((f) => [
          "-e",
          f,
        ]),
        ["-e", "frame.packet_flags_direction", "-e", "frame.len", "-e", "frame.cap_len"],
      ),
    want: [
      /^node1\/eth0\tnode1, to the fabric\t1795000000\.123456789\thop 1\/2 – först\t(0x0*)?2\t98\t98$/m,
      /^node1\/cni0\t\t1795000000\.123456790\t\t\t98\t61$/m,
    ],
  },
];
for (const { program, args, want } of READERS) {
  const found = spawnSync(program, ["--version"]).error === undefined;
  test(`${program} reads our pcapng`, { skip: found ? false : `${program} is not installed` }, () => {
    const folder = mkdtempSync(join(tmpdir(), "podpath-pcapng-"));
    try {
      const file = join(folder, "trace.pcapng");
      writeFileSync(file, written());
      const { status, stdout, stderr } = spawnSync(program, args(file), { encoding: "utf8" });
      assert.equal(status, 0, stderr);
      for (const pattern of want) assert.match(stdout, pattern);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
