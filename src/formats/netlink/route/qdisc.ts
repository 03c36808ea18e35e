// Queueing disciplines (include/uapi/linux/{rtnetlink,pkt_sched}.h): tbf, which shapes, and ingress, where filters of
// what a device receives hang.
import { Attributes, AttributeWriter, fixedHeader } from "../attribute.ts";
import * as c from "../constants.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";

/** struct tcmsg { u8 tcm_family; u8 pad; u16 pad; s32 tcm_ifindex; u32 tcm_handle; u32 tcm_parent; u32 tcm_info; } */
export const TCMSG_LENGTH = 20;

const TC_H_ROOT = 0xffff_ffff;
/** The parent of the ingress qdisc, and with its own handle `ffff:` of the filters on it. */
const TC_H_INGRESS = 0xffff_fff1;
export const INGRESS_HANDLE = 0xffff_0000;

export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;

const TC_LINKLAYER_ETHERNET = 1;
/** struct tc_tbf_qopt: tc_ratespec rate and peakrate (12 each), u32 limit, buffer, mtu. */
const TBF_QOPT_LENGTH = 36;
const RATE_AT = 8;
const LIMIT_AT = 24;
const BUFFER_AT = 28;

/** A tick is 64 ns (PSCHED_SHIFT), on every kernel since 2.6.31; /proc/net/psched tells. */
const TICKS_PER_SECOND = 15_625_000;

/** `tbf rate R burst B limit L`: a token bucket. */
export interface Tbf {
  readonly rateBytesPerSecond: number;
  readonly burstBytes: number;
  /** What waits for tokens at the most. */
  readonly limitBytes: number;
}

export interface TcHeader {
  readonly index: number;
  /** `1:` is 0x10000. */
  readonly handle: number;
  readonly parent: number;
}

export interface Qdisc extends TcHeader {
  /** `tbf`, `ingress`, `noqueue` … */
  readonly kind: string;
  /** Its burst as far as the kernel tells: by the time it takes, in ticks of 64 ns. */
  readonly tbf?: Tbf;
}

export function afterTcmsg({ index, handle, parent }: TcHeader, info = 0): AttributeWriter {
  return new AttributeWriter(TCMSG_LENGTH, (view, at) => {
    view.setInt32(at + 4, index, true);
    view.setUint32(at + 8, handle, true);
    view.setUint32(at + 12, parent, true);
    view.setUint32(at + 16, info, true);
  });
}

export function readTcmsg(payload: Uint8Array): TcHeader & { readonly info: number } {
  const view = fixedHeader(payload, TCMSG_LENGTH, "tcmsg");
  return {
    index: view.getInt32(4, true),
    handle: view.getUint32(8, true),
    parent: view.getUint32(12, true),
    info: view.getUint32(16, true),
  };
}

/** `tc qdisc replace dev D root handle 1: tbf …` */
export function replaceTbf(index: number, tbf: Tbf, handle = 0x1_0000): Request {
  const rate = tbf.rateBytesPerSecond;
  const payload = afterTcmsg({ index, handle, parent: TC_H_ROOT })
    .text(TCA_KIND, "tbf")
    .nested(TCA_OPTIONS, (options) =>
      options
        .bytes(TCA_TBF_PARMS, tbfQopt(tbf))
        .u32(TCA_TBF_BURST, tbf.burstBytes)
        .u64(TCA_TBF_RATE64, rate > 0xffff_ffff ? BigInt(rate) : undefined),
    )
    .finish();
  return { type: c.RTM_NEWQDISC, flags: c.NLM_F_CREATE | c.NLM_F_REPLACE, payload };
}

function tbfQopt({ rateBytesPerSecond: rate, burstBytes, limitBytes }: Tbf): Uint8Array {
  const bytes = new Uint8Array(TBF_QOPT_LENGTH);
  const view = new DataView(bytes.buffer);
  // struct tc_ratespec { u8 cell_log; u8 linklayer; u16 overhead; s16 cell_align; u16 mpu; u32 rate; }
  view.setUint8(1, TC_LINKLAYER_ETHERNET);
  const rate32 = Math.min(rate, 0xffff_ffff); // the whole of it is in TCA_TBF_RATE64
  view.setUint32(RATE_AT, rate32, true);
  view.setUint32(LIMIT_AT, Math.min(limitBytes, 0xffff_ffff), true);
  const microseconds = Math.floor((1_000_000 * burstBytes) / rate32);
  const ticks = Math.floor((microseconds * TICKS_PER_SECOND) / 1_000_000);
  // How long the burst takes. The kernel goes by TCA_TBF_BURST, which is exact.
  view.setUint32(BUFFER_AT, Math.min(ticks, 0xffff_ffff), true);
  return bytes;
}

/** `tc qdisc replace dev D ingress` */
export function replaceIngress(index: number): Request {
  const payload = afterTcmsg({ index, handle: INGRESS_HANDLE, parent: TC_H_INGRESS })
    .text(TCA_KIND, "ingress")
    .finish();
  return { type: c.RTM_NEWQDISC, flags: c.NLM_F_CREATE | c.NLM_F_REPLACE, payload };
}

/** `tc qdisc del dev D root`; ENOENT when there is none but the kernel's own. */
export function deleteRootQdisc(index: number): Request {
  return { type: c.RTM_DELQDISC, flags: 0, payload: afterTcmsg({ index, handle: 0, parent: TC_H_ROOT }).finish() };
}

/** `tc qdisc del dev D ingress`, and all filters with it; EINVAL when there is none. */
export function deleteIngress(index: number): Request {
  const payload = afterTcmsg({ index, handle: INGRESS_HANDLE, parent: TC_H_INGRESS })
    .text(TCA_KIND, "ingress")
    .finish();
  return { type: c.RTM_DELQDISC, flags: 0, payload };
}

export function dumpQdiscs(index = 0): Request {
  return {
    type: c.RTM_GETQDISC,
    flags: c.NLM_F_DUMP,
    payload: afterTcmsg({ index, handle: 0, parent: 0 }).finish(),
  };
}

/** @throws {DecodeError} */
export function decodeQdisc({ payload }: Message): Qdisc {
  const { index, handle, parent } = readTcmsg(payload);
  const attributes = new Attributes(payload, "tcmsg", TCMSG_LENGTH);
  const kind = attributes.text(TCA_KIND) ?? "";
  const options = kind === "tbf" ? attributes.nested(TCA_OPTIONS, "TCA_OPTIONS of tbf") : undefined;
  return { index, handle, parent, kind, ...present({ tbf: options && readTbf(options) }) };
}

function readTbf(options: Attributes): Tbf | undefined {
  const qopt = options.bytes(TCA_TBF_PARMS);
  if (!qopt) return undefined;
  const view = fixedHeader(qopt, TBF_QOPT_LENGTH, "tc_tbf_qopt");
  const rate = options.u64(TCA_TBF_RATE64) ?? view.getUint32(RATE_AT, true);
  return {
    rateBytesPerSecond: rate,
    burstBytes: Math.round((view.getUint32(BUFFER_AT, true) * rate) / TICKS_PER_SECOND),
    limitBytes: view.getUint32(LIMIT_AT, true),
  };
}
