import { realpath, stat } from "node:fs/promises";
import { type ChildOptions, childText } from "./child.ts";

/** What each file printed, by {@link fileKey} and arguments. */
const known = new Map<string, Promise<string>>();

/**
 * What a program prints when it is asked for its version. As long as its file is the same one, it is
 * asked once: a run needs the answer several times, and each takes a process.
 *
 * @param path of the program
 * @throws ChildError when it fails, which is not remembered; BackupError as childText
 */
export async function versionText(
  path: string,
  args: readonly string[],
  o: ChildOptions & { readonly stallMs?: number },
): Promise<string> {
  const key = `${await fileKey(path)} ${args.join(" ")}`;
  const present = known.get(key);
  // Who asked it may have been interrupted; then we ask ourselves.
  const text = await present?.catch(() => undefined);
  o.signal.throwIfAborted();
  if (text !== undefined) return text;
  const { stallMs } = o;
  const spec = { command: path, args, ...stallMs === undefined ? {} : { stallMs } };
  const asked = childText(spec, o).then(({ stdout }) => stdout);
  known.set(key, asked);
  try {
    return await asked;
  } catch (error) {
    known.delete(key);
    throw error;
  }
}

/** A program that was replaced, in its place or by a link, is another one. */
async function fileKey(path: string): Promise<string> {
  const real = await realpath(path).catch(() => path);
  const info = await stat(real).catch(() => undefined);
  return [path, real, info?.ino, info?.size, info?.mtimeMs, info?.ctimeMs].join(" ");
}
