import { randomBytes } from "node:crypto";
import process from "node:process";
import { getLogger } from "@logtape/logtape";
import type { Machine } from "../../src/core/machine.ts";
import type { Environment, Runtime } from "../../src/core/runtime.ts";
import { createSecrets } from "../../src/core/secret.ts";
import { sharedNow } from "./shared.ts";
import { tempDir } from "./workspace.ts";

/** A runtime for tests: the process's environment plus `env`, the real clock, a silent log. */
export function testRuntime(
  options: { env?: Environment; tempDir?: string; now?: () => Date; machine?: Machine } = {},
): Runtime {
  const env = { ...process.env, ...options.env };
  return {
    env,
    now: options.now ?? (() => new Date()),
    random: (length) => new Uint8Array(randomBytes(length)),
    log: getLogger(["dbbackup"]),
    secrets: createSecrets(env),
    machine: () => options.machine ?? { host: "test", id: undefined },
    tempDir: options.tempDir ?? sharedNow("temporary folder", () => tempDir("tmp")),
  };
}

/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal;
