import { randomBytes } from "node:crypto";

/** A database name that nobody else uses: lower-case letters, digits and `_`. */
export function freshName(): string {
  return `test_${randomBytes(6).toString("hex")}`;
}
