import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Environment } from "./environment.ts";

/** What is known of the machine that this program runs on. */
export interface Machine {
  /** Its name; a container gets a new one each time it is made. */
  readonly host: string;
  /** Tells it from every other machine; undefined in a container, and where it has no such id. */
  readonly id: string | undefined;
}

/** Finds out which machine this is. */
export function thisMachine(env: Environment): Machine {
  return { host: hostname(), id: isContainer(env) ? undefined : machineId() };
}

/** An image's machine id says nothing: every container of it has the same, or a new one. */
function isContainer(env: Environment): boolean {
  return env["KUBERNETES_SERVICE_HOST"] !== undefined || env["container"] !== undefined ||
    existsSync("/.dockerenv") || existsSync("/run/.containerenv");
}

/**
 * A digest of the id that systemd or D-Bus gave the machine, which itself is to be kept secret:
 * https://www.freedesktop.org/software/systemd/man/latest/machine-id.html
 */
function machineId(): string | undefined {
  for (const path of ["/etc/machine-id", "/var/lib/dbus/machine-id"]) {
    try {
      const id = readFileSync(path, "utf8").trim();
      if (!/^[0-9a-f]{32}$/.test(id)) continue;
      return createHmac("sha256", id).update("dbbackup").digest("hex").slice(0, 16);
    } catch {
      // Not every system has one.
    }
  }
  return undefined;
}
