import { join } from "node:path";
import type { Abortable } from "../../core/bytes.ts";
import { ChildError, type ChildSpec } from "../../core/child.ts";
import { BackupError } from "../../core/errors.ts";
import { findProgram } from "../../core/program.ts";
import type { Runtime } from "../../core/runtime.ts";
import { versionText } from "../../core/version-text.ts";
import type { Tool } from "../../contracts/source.ts";
import type { MongoAddress } from "./uri.ts";

/** The programs that move data; one package has both. */
export type ToolName = "mongodump" | "mongorestore";

/** Looks for a tool, in the folder of the options or in PATH, and asks for its version. */
export async function findTool(
  name: ToolName,
  { toolsDir }: MongoAddress,
  o: Abortable & { runtime: Runtime },
): Promise<Tool> {
  const path = await pathOf(name, { toolsDir }, o.runtime);
  if (path === undefined) return { name, path, version: undefined };
  try {
    const stdout = await versionText(path, ["--version"], { ...o, stallMs: 10_000 });
    // "mongodump version: 100.9.4"; builds of one's own print other words
    return { name, path, version: /version:\s*r?(\S+)/.exec(stdout)?.[1] ?? "unknown" };
  } catch (error) {
    if (error instanceof ChildError) return { name, path, version: "unknown" };
    throw error;
  }
}

/** The path of a tool. @throws BackupError `dump/tool-missing` */
export async function requireTool(
  name: ToolName,
  address: MongoAddress,
  { runtime }: { runtime: Runtime },
): Promise<string> {
  const path = await pathOf(name, address, runtime);
  if (path !== undefined) return path;
  const where = address.toolsDir === undefined ? "PATH" : `"${address.toolsDir}"`;
  throw new BackupError("dump/tool-missing", `The program "${name}" is not in ${where}`, {
    hint: "Install MongoDB Database Tools, or name their folder with toolsDir.",
  });
}

async function pathOf(
  name: ToolName,
  { toolsDir }: Pick<MongoAddress, "toolsDir">,
  { env }: Runtime,
): Promise<string | undefined> {
  return await findProgram(toolsDir === undefined ? name : join(toolsDir, name), env);
}

/** A run of a tool. The URI, which holds the password, is in a file without a name. */
export function toolSpec(
  command: string,
  address: MongoAddress,
  args: readonly string[],
): ChildSpec {
  const hostname = address.isHostnameIgnored ? ["--sslAllowInvalidHostnames"] : [];
  return {
    command,
    args: ["--config=/dev/fd/3", ...hostname, ...args],
    secretFiles: [`uri: ${JSON.stringify(address.uri)}\n`],
  };
}

/** The lines of a tool's log that say what went wrong, without their times. */
export function complaint({ exit, message }: ChildError): string {
  const lines = exit.stderr.split("\n").map((line) => line.replace(/^\S+T\S+\s+/, "").trim());
  // Its last word on the matter, then anything that sounds like it; its counts of failures do not.
  const fatal = lines.filter((line) => /^Failed:/.test(line));
  const others = lines.filter((line) =>
    /fail|error|cannot|unable|denied|not authorized/i.test(line) && !/\d failures?\b/.test(line)
  );
  const found = fatal.length > 0 ? fatal : others;
  const said = found.slice(0, 2).join("; ").replaceAll("Failed: ", "") || message;
  return exit.signal === null ? said : `it died of ${exit.signal}; ${said}`;
}
