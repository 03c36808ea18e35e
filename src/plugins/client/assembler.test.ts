import assert from "node:assert/strict";
import { test } from "node:test";
import { Aarch64 } from "./aarch64.ts";
import type { Assembler } from "./assembler.ts";
import { X8664 } from "./x86-64.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const word = (value: number): string => hex(Uint8Array.from([0, 8, 16, 24], (shift) => (value >>> shift) & 0xff));

type Row = [line: string, emit: (as: Assembler) => void, golden: string];

// aarch64-linux-gnu-as g.s && aarch64-linux-gnu-objdump -d (binutils 2.40)
const AARCH64: Row[] = [
  ["mov x19, sp", (as) => as.move("s0", "sp"), word(0x910003f3)],
  ["mov x21, x22", (as) => as.move("s2", "s3"), word(0xaa1603f5)],
  ["movz x1, #1", (as) => as.move("a1", 1), word(0xd2800021)],
  ["movz x1, #1; movk x1, #8, lsl #16", (as) => as.move("a1", 0x80001), word(0xd2800021) + word(0xf2a00101)],
  ["add x20, x20, #16", (as) => as.add("s1", 16), word(0x91004294)],
  ["add x20, x20, x0", (as) => as.add("s1", "result"), word(0x8b000294)],
  ["sub sp, sp, #0x10, lsl #12", (as) => as.subtract("sp", 0x10000), word(0xd14043ff)],
  ["sub x23, x23, #1", (as) => as.subtract("s4", 1), word(0xd10006f7)],
  ["sub x24, x24, x23", (as) => as.subtract("s5", "s4"), word(0xcb170318)],
  ["ldr x21, [x19]", (as) => as.load("s2", "s0", 0), word(0xf9400275)],
  ["ldr x23, [x19, #8]", (as) => as.load("s4", "s0", 8), word(0xf9400677)],
  ["ldr x2, [sp]", (as) => as.load("a2", "sp", 0), word(0xf94003e2)],
  ["ldrb w2, [x1]", (as) => as.loadByte("a2", "a1", 0), word(0x39400022)],
  ["str x1, [x22, #8]", (as) => as.store("s3", 8, "a1"), word(0xf90006c1)],
  ["cmp x0, #0", (as) => as.compare("result", 0), word(0xf100001f)],
  ["cmn x0, #4", (as) => as.compare("result", -4), word(0xb100101f)],
  ["cmp x2, x3", (as) => as.compare("a2", "a3"), word(0xeb03005f)],
  ["ret", (as) => as.ret(), word(0xd65f03c0)],
  ["mov x8, #221; svc #0", (as) => as.systemCall("execve"), word(0xd2801ba8) + word(0xd4000001)],
  ["adr x1, 2 back", (as) => back(as, () => as.address("a1", "l")), word(0x10ffffc1)],
  ["b.eq 2 back", (as) => back(as, () => as.jump("equal", "l")), word(0x54ffffc0)],
  ["b.ne 3 back", (as) => back(as, () => as.jump("notEqual", "l"), 3), word(0x54ffffa1)],
  ["b.lt 4 back", (as) => back(as, () => as.jump("less", "l"), 4), word(0x54ffff8b)],
  ["b.le 5 back", (as) => back(as, () => as.jump("lessOrEqual", "l"), 5), word(0x54ffff6d)],
  ["b 6 back", (as) => back(as, () => as.jump("always", "l"), 6), word(0x17fffffa)],
  ["bl 7 back", (as) => back(as, () => as.call("l"), 7), word(0x97fffff9)],
];

// as h.s && objdump -d -M intel (binutils 2.40)
const X86: Row[] = [
  ["mov rbx, rsp", (as) => as.move("s0", "sp"), "4889e3"],
  ["mov r12, r13", (as) => as.move("s2", "s3"), "4d89ec"],
  ["add r12, r12", (as) => as.add("s2", "s2"), "4d01e4"],
  ["sub r15, r14", (as) => as.subtract("s5", "s4"), "4d29f7"],
  ["cmp rdx, r10", (as) => as.compare("a2", "a3"), "4c39d2"],
  ["lea rsi, [rip-9]", (as) => back(as, () => as.address("a1", "l")), "c3c3488d35f7ffffff"],
  ["ret", (as) => as.ret(), "c3"],
];

function back(as: Assembler, emit: () => void, instructions = 2): void {
  as.label("l");
  for (let i = 0; i < instructions; i++) as.ret();
  emit();
}

test("each operation is the instruction that GNU as makes of it", () => {
  for (const [line, emit, golden] of AARCH64) assert.ok(assembled(new Aarch64(), emit).endsWith(golden), line);
  for (const [line, emit, golden] of X86) assert.equal(assembled(new X8664(), emit), golden, line);
});

test("what no instruction can hold is refused, not truncated", () => {
  const as = new Aarch64();
  assert.throws(() => as.add("s0", 0x1001), RangeError);
  assert.throws(() => as.load("s0", "s1", 4), RangeError);
  assert.throws(() => as.load("s0", "s1", -8), RangeError);
  assert.throws(() => as.move("s0", -1), RangeError);
});

test("a label placed twice, or nowhere, is an error", () => {
  const as = new X8664();
  as.label("l");
  assert.throws(() => as.label("l"), /placed already/);
  as.jump("always", "nowhere");
  assert.throws(() => as.assemble(), /nowhere/);
});

function assembled(as: Assembler, emit: (as: Assembler) => void): string {
  emit(as);
  return hex(as.assemble());
}
