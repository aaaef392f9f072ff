import { Buffer } from "node:buffer";

/** Base64 without padding, as age writes it (https://age-encryption.org/v1, "Conventions used in this document"). */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replaceAll("=", "");
}
