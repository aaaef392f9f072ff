import { randomBytes } from "node:crypto";
import { sharedNow } from "./shared.ts";

/**
 * The part of {@link hardPassword} that nothing escapes and that nobody else's servers have, so
 * that where it shows up, the password has leaked.
 */
export const passwordCanary: string = sharedNow(
  "password canary",
  () => `c4n4ry${randomBytes(6).toString("hex")}`,
);

/** The password on all test servers: every character that some URL, YAML or option file trips over. */
export const hardPassword = `${passwordCanary}# w\\rd'%40:@/"`;
