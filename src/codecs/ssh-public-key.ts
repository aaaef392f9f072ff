import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { base64 } from "./base64.ts";
import { openWire } from "./ssh-wire.ts";

// The public halves of SSH keys, as ssh-keygen writes them into .pub files and authorized_keys.

/** A public key that age can encrypt to. */
export type SshPublicKey =
  & {
    /** What ssh-keygen's line has in base64. */
    readonly blob: Uint8Array;
    /** What follows the key in its line, often `user@host`; may be empty. */
    readonly comment: string;
  }
  & (
    | { readonly type: "ssh-ed25519"; readonly point: Uint8Array }
    | { readonly type: "ssh-rsa"; readonly n: Uint8Array; readonly e: Uint8Array }
  );

// age writes and reads none that is shorter.
const leastRsaBits = 2048;

// Options of authorized_keys may stand before it.
const keyLine =
  /(?:^|\s)((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[\w@.-]+)\s+(AAAA[A-Za-z0-9+/]+={0,2})(?:\s+(.*))?$/;

/** True for what looks like a line with a public SSH key, of whichever type. */
export function isSshLine(text: string): boolean {
  return keyLine.test(text) || /^(ssh|ecdsa|sk-ssh|sk-ecdsa)-/.test(text);
}

/**
 * Reads a line of a .pub file, or of authorized_keys.
 *
 * @returns what is wrong with it, as a sentence, where age cannot encrypt to it
 */
export function parseSshPublicKey(text: string): SshPublicKey | { readonly wrong: string } {
  const [, type, base64 = "", comment = ""] = keyLine.exec(text) ?? [];
  if (type === undefined) return { wrong: "The SSH key is cut, or has a line break in it." };
  if (type !== "ssh-ed25519" && type !== "ssh-rsa") return { wrong: unusableType(type) };
  const blob = Buffer.from(base64, "base64");
  return readBlob(blob, comment.trim(), type) ??
    { wrong: `The ${type} key is damaged: copy it again from its .pub file.` };
}

/** Reads the bytes of a public key; undefined for what is none of this type. */
export function readBlob(
  blob: Uint8Array,
  comment: string,
  expected: string,
): SshPublicKey | { readonly wrong: string } | undefined {
  try {
    const wire = openWire(blob);
    const type = wire.text();
    if (type !== expected || !/^[\w@.-]+$/.test(type)) return undefined;
    if (type === "ssh-ed25519") {
      const point = wire.field();
      if (point.byteLength !== 32 || !wire.isAtEnd()) return undefined;
      return { type, blob, comment, point };
    }
    if (type !== "ssh-rsa") return { wrong: unusableType(type) };
    const [e, n] = [wire.number(), wire.number()];
    if (!wire.isAtEnd()) return undefined;
    const bits = n.byteLength === 0 ? 0 : n.byteLength * 8 - Math.clz32(n[0]!) + 24;
    if (bits >= leastRsaBits) return { type, blob, comment, n, e };
    return { wrong: `RSA keys of less than ${leastRsaBits} bits are not safe; this has ${bits}.` };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Why age has no way to encrypt to keys of this type. */
export function unusableType(type: string): string {
  const what = /^sk-/.test(type) || /ecdsa|dss|dsa/i.test(type)
    ? "such keys can only sign"
    : "age knows no such keys";
  return `${type} keys cannot be used: ${what}. Of SSH keys, ssh-ed25519 and ssh-rsa can.`;
}

/** The key in one line: its type, its bytes and its comment. */
export function sshLine({ type, blob, comment }: SshPublicKey): string {
  const line = `${type} ${Buffer.from(blob).toString("base64")}`;
  return comment === "" ? line : `${line} ${comment}`;
}

/** How an age header names the key: the first four bytes of its digest. */
export function sshTag({ blob }: SshPublicKey): string {
  return base64(createHash("sha256").update(blob).digest().subarray(0, 4));
}
