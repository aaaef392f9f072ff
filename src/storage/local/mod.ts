import { Buffer } from "node:buffer";
import { realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Storage, StorageKind } from "../../contracts/storage.ts";
import { BackupError } from "../../core/errors.ts";
import { deleteObject } from "./delete.ts";
import { getObject } from "./get.ts";
import { listObjects } from "./list.ts";
import { type LocalOptions, localOptions } from "./options.ts";
import { putObject } from "./put.ts";
import { statObject } from "./stat.ts";
import { sweepFolder } from "./sweep.ts";

export { type LocalOptions, localOptions } from "./options.ts";

/** A folder on this machine. Files get mode 0600 and folders 0700, whatever the umask. */
export const local: StorageKind<LocalOptions> = {
  kind: "local",
  schemes: ["file"],
  description: "A folder of this machine, or one that is mounted.",
  options: localOptions,
  paths: ["path"],
  fromUrl: (url) => ({ path: pathOf(url) }),
  async open({ path }, { runtime }) {
    const root = checkedRoot(await runtime.secrets.resolve(path, { isPublic: true }));
    const freshName = () => Buffer.from(runtime.random(8)).toString("hex");
    return {
      location: root,
      place: await placeOf(root),
      put: (key, body, o) => putObject(root, key, body, freshName(), o),
      get: (key, o) => getObject(root, key, o),
      stat: (key) => statObject(root, key),
      list: (prefix, o) => listObjects(root, prefix, o),
      delete: (key) => deleteObject(root, key),
      sweep: (prefix, { before }) => sweepFolder(root, prefix, before),
      close: () => Promise.resolve(),
    } satisfies Storage;
  },
};

/** The folder by its real path, whatever links and dots lead there; it may not be there yet. */
async function placeOf(root: string): Promise<string> {
  try {
    return await realpath(root);
  } catch {
    const parent = dirname(root);
    return parent === root ? root : join(await placeOf(parent), basename(root));
  }
}

/** `file:///abs`, `file:rel` or a bare path. */
function pathOf(url: string): string {
  if (!/^file:/i.test(url)) return url;
  const rest = url.slice("file:".length);
  if (rest.startsWith("//")) {
    try {
      return fileURLToPath(url);
    } catch (cause) {
      throw badUrl(url, cause);
    }
  }
  try {
    const path = decodeURIComponent(rest);
    if (path !== "") return path;
  } catch (cause) {
    throw badUrl(url, cause);
  }
  throw badUrl(url);
}

function badUrl(url: string, cause?: unknown): BackupError {
  return new BackupError("usage/bad-url", `Cannot read the destination "${url}"`, {
    cause,
    hint: "Write a path, file:RELATIVE/PATH or file:///ABSOLUTE/PATH; % as %25.",
  });
}

function checkedRoot(path: string): string {
  if (path === "~" || path.startsWith("~/")) {
    throw new BackupError(
      "config/bad-path",
      `Cannot use the path "${path}": only a shell knows ~`,
      {
        hint: 'Write the whole path, or env("HOME") for a part of it.',
      },
    );
  }
  if (path.trim() === "" || path.includes("\0")) {
    throw new BackupError("config/bad-path", `Cannot use the path ${JSON.stringify(path)}`, {
      hint: "Write the path of a folder.",
    });
  }
  return resolve(path);
}
