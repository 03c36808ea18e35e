// A traffic control filter (include/uapi/linux/{pkt_cls,tc_act/tc_mirred}.h): the one that sends all a device receives
// to another, to be queued there.
import { Attributes } from "../attribute.ts";
import * as c from "../constants.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";
import { afterTcmsg, INGRESS_HANDLE, readTcmsg, TCA_KIND, TCA_OPTIONS, TCMSG_LENGTH, type TcHeader } from "./qdisc.ts";

const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;

const TC_U32_TERMINAL = 1;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;
/** htons(ETH_P_ALL), which stands in the lower half of tcm_info; the priority in the upper. */
const ALL_PROTOCOLS = 0x0300;
const PRIORITY = 1;
/** struct tc_u32_sel and one struct tc_u32_key. */
const SEL_LENGTH = 32;
/** struct tc_mirred: tc_gen { u32 index, capab; int action, refcnt, bindcnt; } int eaction; u32 ifindex; */
const MIRRED_LENGTH = 28;

export interface Filter extends TcHeader {
  /** `u32` … */
  readonly kind: string;
  /** The device that `action mirred egress redirect` sends to. */
  readonly redirectTo?: number;
}

/** `tc filter replace dev D parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev T` */
export function redirectAll(index: number, target: number): Request {
  const selector = new Uint8Array(SEL_LENGTH); // one key: mask 0, value 0
  selector[0] = TC_U32_TERMINAL;
  selector[2] = 1; // nkeys
  const mirred = new DataView(new ArrayBuffer(MIRRED_LENGTH));
  mirred.setInt32(8, TC_ACT_STOLEN, true);
  mirred.setInt32(20, TCA_EGRESS_REDIR, true);
  mirred.setUint32(24, target, true);
  const payload = afterTcmsg({ index, handle: 0, parent: INGRESS_HANDLE }, (PRIORITY << 16) | ALL_PROTOCOLS)
    .text(TCA_KIND, "u32")
    .nested(TCA_OPTIONS, (options) =>
      options
        .bytes(TCA_U32_SEL, selector)
        .nested(TCA_U32_ACT, (actions) =>
          actions.nested(1, (action) =>
            action
              .text(TCA_ACT_KIND, "mirred")
              .nested(TCA_ACT_OPTIONS, (of) => of.bytes(TCA_MIRRED_PARMS, new Uint8Array(mirred.buffer))),
          ),
        ),
    )
    .finish();
  return { type: c.RTM_NEWTFILTER, flags: c.NLM_F_CREATE | c.NLM_F_EXCL, payload };
}

/** The filters on a device's ingress qdisc. */
export function dumpFilters(index: number): Request {
  return {
    type: c.RTM_GETTFILTER,
    flags: c.NLM_F_DUMP,
    payload: afterTcmsg({ index, handle: 0, parent: INGRESS_HANDLE }).finish(),
  };
}

/** @throws {DecodeError} */
export function decodeFilter({ payload }: Message): Filter {
  const { index, handle, parent } = readTcmsg(payload);
  const attributes = new Attributes(payload, "tcmsg", TCMSG_LENGTH);
  const kind = attributes.text(TCA_KIND) ?? "";
  const options = kind === "u32" ? attributes.nested(TCA_OPTIONS, "TCA_OPTIONS of u32") : undefined;
  const action = options?.nested(TCA_U32_ACT, "TCA_U32_ACT")?.nested(1, "an action");
  const mirred = action?.nested(TCA_ACT_OPTIONS, "TCA_ACT_OPTIONS")?.bytes(TCA_MIRRED_PARMS);
  const view = mirred && new DataView(mirred.buffer, mirred.byteOffset, mirred.length);
  const isRedirect = view && view.byteLength >= MIRRED_LENGTH && view.getInt32(20, true) === TCA_EGRESS_REDIR;
  return { index, handle, parent, kind, ...present({ redirectTo: isRedirect ? view.getUint32(24, true) : undefined }) };
}
