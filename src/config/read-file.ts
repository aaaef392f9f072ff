import { open } from "node:fs/promises";
import { BackupError, systemCode } from "../core/errors.ts";
import { formatBytes } from "../core/text.ts";

// The largest config that a person writes has some hundred kilobytes.
const mostBytes = 8 * 1024 * 1024;

/**
 * Reads a config's text.
 *
 * @throws BackupError `config/unreadable`, `config/syntax` for what is no text
 */
export async function readConfigFile(path: string): Promise<string> {
  const bytes = await readBytes(path).catch((cause) => {
    if (cause instanceof BackupError) throw cause;
    throw new BackupError(
      "config/unreadable",
      `Cannot read the config "${path}": ${reasons[systemCode(cause) ?? ""] ?? systemCode(cause)}`,
      { cause, hint: "Check that the file exists and that this user may read it." },
    );
  });
  if (bytes.includes(0)) throw notText(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw notText(path, cause);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "it does not exist",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
};

/** A pipe, as of `--config <(…)`, has no length; all else is looked at before it is read. */
async function readBytes(path: string): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const info = await handle.stat();
    if (info.isFile() && info.size > mostBytes) {
      throw new BackupError(
        "config/unreadable",
        `The config "${path}" has ${formatBytes(info.size)}, and ${
          formatBytes(mostBytes)
        } are the most`,
        { hint: "Check --config: this is some other file." },
      );
    }
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function notText(path: string, cause?: unknown): BackupError {
  return new BackupError("config/syntax", `The config "${path}" is not a text in UTF-8`, {
    cause,
    hint: "Check --config, or save the file as UTF-8.",
  });
}
