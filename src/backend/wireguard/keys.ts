import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { keyFromBytes, keyToBytes, parseKey, type WireGuardKey } from "../../formats/netlink/index.ts";
import { BackendError } from "../errors.ts";

/** The DER around a raw private key of X25519 (RFC 8410, section 7). */
const PKCS8_X25519 = Uint8Array.from([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
]);

/** `wg pubkey` */
export function publicKeyOf(privateKey: WireGuardKey): WireGuardKey {
  const der = Buffer.concat([PKCS8_X25519, keyToBytes(privateKey)]);
  const { x = "" } = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" })).export({
    format: "jwk",
  });
  return keyFromBytes(Buffer.from(x, "base64url"));
}

/** `wg genkey`: clamped as every implementation clamps it, so that the kernel gives back the bytes it was given. */
export function generatePrivateKey(): WireGuardKey {
  const bytes = randomBytes(32);
  bytes[0] = (bytes[0] ?? 0) & 248;
  bytes[31] = ((bytes[31] ?? 0) & 127) | 64;
  return keyFromBytes(bytes);
}

/**
 * The private key in Flannel's key file, base64 in one line; where there is no file, one with `fallback`, or with a new
 * key, is made. @throws {BackendError} which does not tell the key
 */
export function ensureKeyFile(path: string, fallback: WireGuardKey | undefined): WireGuardKey {
  try {
    return readKey(path) ?? createKeyFile(path, fallback ?? generatePrivateKey());
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BackendError(
      `Cannot use the WireGuard key file ${path}: ${why}; put a private key there (wg genkey), delete it to have one made, ` +
        `or name another with WIREGUARD_KEY_FILE`,
      { cause: error },
    );
  }
}

function readKey(path: string): WireGuardKey | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  return parseKey(text.trim());
}

/** Whole or not at all; when another process was faster, its key is the one. */
function createKeyFile(path: string, key: WireGuardKey): WireGuardKey {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const draft = `${path}.${process.pid}`;
  rmSync(draft, { force: true });
  try {
    writeFileSync(draft, key, { mode: 0o400, flag: "wx" });
    chmodSync(draft, 0o400);
    linkSync(draft, path);
    return key;
  } catch (error) {
    const other = readKey(path);
    if (other) return other;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
