import assert from "node:assert/strict";
import { test } from "node:test";
import { filterFields, parseLostLine, parseTraceFields, parseTraceFormat, parseTraceLine } from "./trace-format.ts";

// cat /sys/kernel/tracing/events/skb/kfree_skb/format, Linux 6.18, its symbol table shortened
const KFREE_SKB = `name: kfree_skb
ID: 2310
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:void * skbaddr;	offset:8;	size:8;	signed:0;
	field:unsigned short protocol;	offset:32;	size:2;	signed:0;
	field:__u8 src[4];	offset:28;	size:4;	signed:0;
	field:__data_loc char[] name;	offset:20;	size:4;	signed:0;
	field:enum skb_drop_reason reason;	offset:36;	size:4;	signed:0;

print fmt: "skbaddr=%p", __print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 12, "NETFILTER_DROP" })
`;

test("parseTraceFormat() finds an event's own fields and its symbols", () => {
  const { fields, symbols } = parseTraceFormat(KFREE_SKB);
  assert.deepEqual([...fields], ["skbaddr", "protocol", "src", "name", "reason"]);
  assert.equal(symbols.get(12), "NETFILTER_DROP");
});

test("filterFields() names what a filter looks at", () => {
  assert.deepEqual(filterFields('len==819 || len >= 805 && name ~ "eth*" || (reason & 4)'), [
    "len",
    "len",
    "name",
    "reason",
  ]);
});

test("parseTraceLine() reads trace_pipe's lines, whatever the task is called", () => {
  const text = "dev=lo skbaddr=00000000f3265818 len=819";
  for (const task of ["    node-412  ", " <idle>-0", "a: b-1 [000] x 1.000001: y: z-7", "kworker/u4:1-77 (     77)"]) {
    const line = parseTraceLine(`${task} [001] b..1.  1795467250.394538: net_dev_queue: ${text}`);
    assert.deepEqual(line, { cpu: 1, time: 1795467250394538000n, name: "net_dev_queue", text }, task);
  }
  for (const noise of ["", "CPU:1 [LOST 31 EVENTS]", "# tracer: nop", "x-1 [000] 1.2: y: z"])
    assert.equal(parseTraceLine(noise), undefined);
  assert.equal(parseLostLine("CPU:1 [LOST 31 EVENTS]"), 31);
  assert.equal(parseLostLine("something else"), 0);
});

test("parseTraceFields() reads both ways of writing a field", () => {
  const fields = parseTraceFields("skbaddr=0000 protocol=2048 location=ip_error+0x1/0x2 reason: IP_INADDRERRORS");
  assert.deepEqual([fields.protocol, fields.location, fields.reason], ["2048", "ip_error+0x1/0x2", "IP_INADDRERRORS"]);
});
