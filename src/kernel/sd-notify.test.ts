import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { SyscallError } from "./errors.ts";
import { notifySupervisor } from "./sd-notify.ts";
import { bind, check, close, recv, socket } from "./sys.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x80000;

/** What a supervisor bound to `name` (`\0…` for an abstract one) gets while `f` runs. */
function received(name: string, f: () => void): string {
  const address = new Uint8Array([AF_UNIX, 0, ...new TextEncoder().encode(name)]);
  const fd = check(socket(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0), "socket");
  try {
    check(bind(fd, address, address.length), "bind");
    f();
    const buffer = new Uint8Array(256);
    return new TextDecoder().decode(buffer.subarray(0, check(recv(fd, buffer, buffer.length, 0), "recv")));
  } finally {
    close(fd);
  }
}

describe("notifySupervisor()", () => {
  const dir = mkdtempSync(join(tmpdir(), "podpath-notify-"));
  after(() => rmSync(dir, { recursive: true }));

  it("reaches a socket by its path", () => {
    const path = join(dir, "notify");
    assert.equal(
      received(path, () => assert.equal(notifySupervisor("READY=1", path), true)),
      "READY=1",
    );
  });

  it("reaches an abstract socket", () => {
    const name = `podpath-notify-${process.pid}`;
    assert.equal(
      received(`\0${name}`, () => assert.equal(notifySupervisor("STOPPING=1", `@${name}`), true)),
      "STOPPING=1",
    );
  });

  it("does nothing without a supervisor, and says so when the supervisor is gone", () => {
    assert.equal(notifySupervisor("READY=1", ""), false);
    assert.throws(
      () => notifySupervisor("READY=1", join(dir, "gone")),
      (error) => error instanceof SyscallError && error.code === "ENOENT",
    );
    for (const path of ["relative", "@", `/${"x".repeat(107)}`])
      assert.throws(() => notifySupervisor("READY=1", path), /NOTIFY_SOCKET/);
  });
});
