// System V ABI, "Object Files": the smallest static executable, one segment that is read and executed. The stack is
// its only writable memory.
const EM = { "x86-64": 62, aarch64: 183 } as const;
const BASE = 0x400000;
const ALIGN = 0x10000; // the largest page size of both machines
const EHDR = 64;
const PHDR = 56;
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const [PF_X, PF_W, PF_R] = [1, 2, 4];

export type ClientArch = keyof typeof EM;

/** An executable file of `code`, which is entered at its first byte. */
export function elf(arch: ClientArch, code: Uint8Array): Uint8Array<ArrayBuffer> {
  const offset = EHDR + 2 * PHDR;
  const file = new Uint8Array(offset + code.length);
  const view = new DataView(file.buffer);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);

  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // "\x7fELF", ELFCLASS64, ELFDATA2LSB, EV_CURRENT
  view.setUint16(16, 2, true); // e_type ET_EXEC
  view.setUint16(18, EM[arch], true); // e_machine
  view.setUint32(20, 1, true); // e_version
  u64(24, BASE + offset); // e_entry
  u64(32, EHDR); // e_phoff
  view.setUint16(52, EHDR, true); // e_ehsize
  view.setUint16(54, PHDR, true); // e_phentsize
  view.setUint16(56, 2, true); // e_phnum
  view.setUint16(58, 64, true); // e_shentsize

  view.setUint32(EHDR, PT_LOAD, true);
  view.setUint32(EHDR + 4, PF_R | PF_X, true);
  u64(EHDR + 16, BASE); // p_vaddr; p_offset is 0
  u64(EHDR + 24, BASE); // p_paddr
  u64(EHDR + 32, file.length); // p_filesz
  u64(EHDR + 40, file.length); // p_memsz
  u64(EHDR + 48, ALIGN);

  view.setUint32(EHDR + PHDR, PT_GNU_STACK, true); // without it the kernel may make the stack executable
  view.setUint32(EHDR + PHDR + 4, PF_R | PF_W, true);
  u64(EHDR + PHDR + 48, 16);

  file.set(code, offset);
  return file;
}
