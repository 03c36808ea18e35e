/** A block of a pcapng file, its options by code. For tests: reads only what PcapngWriter writes, and checks its form. */
export interface PcapngBlock {
  readonly type: number;
  readonly body: Uint8Array;
  readonly options: ReadonlyMap<number, Uint8Array>;
}

const OPTIONS_AT = new Map([
  [0x0a0d0d0a, () => 16],
  [1, () => 8],
  [6, (view: DataView) => 20 + Math.ceil(view.getUint32(12, true) / 4) * 4],
]);

export function readPcapng(file: Uint8Array): PcapngBlock[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const blocks: PcapngBlock[] = [];
  for (let at = 0; at < file.length; ) {
    const [type, length] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    if (length % 4 !== 0 || view.getUint32(at + length - 4, true) !== length) throw new Error(`bad block at ${at}`);
    const body = file.subarray(at + 8, at + length - 4);
    const optionsAt = OPTIONS_AT.get(type);
    if (!optionsAt) throw new Error(`unknown block ${type}`);
    const inner = new DataView(body.buffer, body.byteOffset, body.length);
    blocks.push({ type, body, options: readOptions(body.subarray(optionsAt(inner))) });
    at += length;
  }
  return blocks;
}

function readOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    const [code, length] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    if (code === 0) break;
    options.set(code, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return options;
}
