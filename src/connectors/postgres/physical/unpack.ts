import { type FileHandle, lchown, mkdir, open } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import type { Bytes } from "../../../core/bytes.ts";
import { BackupError } from "../../../core/errors.ts";
import { type TarEntry, tarReader } from "../../../core/tar.ts";
import type { ServerUser } from "./server-user.ts";

/**
 * Writes what is in a tar into a folder, as files that a server takes for its own: of its user, and
 * open to nobody else. What is there by the same name is replaced.
 *
 * @throws BackupError `restore/failed` for what leads out of the folder, those of the bytes
 */
export async function unpack(
  bytes: Bytes,
  folder: string,
  user: ServerUser | undefined,
): Promise<void> {
  const reader = tarReader();
  const made = new Set<string>();
  let file: FileHandle | undefined;

  async function make(path: string): Promise<void> {
    if (made.has(path) || path === folder) return;
    await make(dirname(path));
    made.add(path);
    await mkdir(path, { mode: 0o700 }).catch((error) => {
      if (error.code !== "EEXIST") throw error;
    });
    if (user !== undefined) await lchown(path, user.uid, user.gid);
  }

  async function begin(entry: TarEntry): Promise<void> {
    const path = pathIn(folder, entry);
    if (entry.type === "folder") return await make(path);
    await make(dirname(path));
    file = await open(path, "w", 0o600);
    if (user !== undefined) await file.chown(user.uid, user.gid);
  }

  try {
    for await (const chunk of bytes) {
      for (const event of reader.push(chunk)) {
        if (event.type === "entry") await begin(event.entry);
        else if (event.type === "data") await writeAll(file!, event.chunk);
        else {
          await file?.close();
          file = undefined;
        }
      }
    }
    reader.end();
  } finally {
    await file?.close().catch(() => {});
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength;) {
    at += (await file.write(chunk, at, chunk.byteLength - at)).bytesWritten;
  }
}

function pathIn(folder: string, { name, type }: TarEntry): string {
  const path = normalize(join(folder, name));
  const isInside = path === folder || path.startsWith(`${folder}/`);
  if (isInside && (type === "file" || type === "folder")) {
    return path.length > folder.length && path.endsWith("/") ? path.slice(0, -1) : path;
  }
  throw new BackupError("restore/failed", `The base backup has "${name}", which is no plain file`, {
    hint: "Files outside of the data directory cannot be restored.",
  });
}
