import { readdirSync, readFileSync } from "node:fs";

const FOLDER = new URL("../../../../testdata/packet/", import.meta.url);

export interface GoldenCapture {
  readonly name: string;
  readonly frames: readonly Uint8Array[];
  /** What tcpdump printed for each frame; a carried packet's line is joined to its carrier's. */
  readonly lines: readonly string[];
}

/** The captures of testdata/packet, which make.sh there made. */
export function goldenCaptures(): GoldenCapture[] {
  const names = readdirSync(FOLDER).filter((file) => file.endsWith(".pcap"));
  return names.map((file) => ({
    name: file.replace(".pcap", ""),
    frames: readPcap(new Uint8Array(readFileSync(new URL(file, FOLDER)))),
    lines: readFileSync(new URL(file.replace(".pcap", ".txt"), FOLDER), "utf8")
      .trim()
      .split("\n"),
  }));
}

/** The classic file of libpcap: a header of 24 bytes, then each frame after 16 bytes of its own. */
function readPcap(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== 0xa1b2c3d4) throw new Error("not a little-endian pcap file");
  const frames: Uint8Array[] = [];
  for (let at = 24; at < bytes.length; ) {
    const length = view.getUint32(at + 8, true);
    frames.push(bytes.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}
