import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Surroundings } from "../../src/config/find.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/model.ts";
import type { BackupError } from "../../src/core/errors.ts";
import { tempDir } from "../support/workspace.ts";

/** Surroundings in which no config of the machine is found. */
export function surroundings(folder: string, more: Partial<Surroundings> = {}): Surroundings {
  return {
    env: {},
    cwd: folder,
    home: join(folder, "home"),
    uid: process.getuid?.(),
    tempDir: "/tmp",
    systemDir: join(folder, "etc"),
    ...more,
  };
}

/** Writes files into a fresh folder and returns it. */
export function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tempDir("config"), "c-"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Loads a config by name, as `--config` does. */
export async function load(folder: string, name: string): Promise<Config> {
  return await loadConfig({
    ...surroundings(folder),
    named: name,
    moduleExports: async () => await import("../../src/mod.ts"),
  });
}

/** The error that loading ends in, with the folder's own path taken out of its texts. */
export async function loadError(
  folder: string,
  name: string,
): Promise<{ code: string; message: string; hint: string | undefined; error: BackupError }> {
  try {
    await load(folder, name);
  } catch (reason) {
    const error = reason as BackupError;
    const { code, message, hint } = error;
    return { code, message: message.replaceAll(folder, "DIR"), hint, error };
  }
  throw new Error("The config was loaded");
}
