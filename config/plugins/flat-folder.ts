// A destination of one's own: every object is a file of one flat folder. It is a worked example of
// `defineStorage`, and passes the contract tests of tests/contracts/storage.ts.
import { type FileHandle, link, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Abortable, BackupError, type Bytes, defineStorage } from "dbbackup";
import { type ObjectInfo, type Storage, type StorageKind, z } from "dbbackup";

const options = z.strictObject({ path: z.string() });

const kind: StorageKind<{ path: string }> = {
  kind: "flat-folder",
  schemes: ["flat"],
  options,
  paths: ["path"],
  fromUrl(url) {
    const path = url.replace(/^flat:(\/\/)?/, "");
    if (path !== "") return { path: resolve(path) };
    throw new BackupError("usage/bad-url", `"${url}" names no folder`, {
      hint: "Write flat:/path/of/folder.",
    });
  },
  open: ({ path }) => Promise.resolve(openFlatFolder(path)),
};

/** Objects as files of one flat folder; their keys are escaped into the names. */
export const flatFolder = defineStorage(kind);

const unfinished = ".unfinished-";

function openFlatFolder(folder: string): Storage {
  const fileOf = (key: string) => join(folder, nameOf(key));
  let puts = 0;

  async function stated(key: string): Promise<ObjectInfo | undefined> {
    try {
      const { size, mtime } = await stat(fileOf(key));
      return { key, bytes: size, modifiedAt: mtime };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  return {
    location: `flat:${folder}`,
    async put(key, body, { signal }) {
      const name = nameOf(key);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const temporary = join(folder, `${unfinished}${name}-${process.pid}-${++puts}`);
      try {
        await write(temporary, body instanceof Uint8Array ? [body] : body, signal);
        // A link is made only where there is none: nothing is ever overwritten.
        await link(temporary, fileOf(key)).catch((cause) => {
          if (codeOf(cause) !== "EEXIST") throw cause;
          throw new BackupError("storage/exists", `"${key}" is there already`, { cause });
        });
      } finally {
        await rm(temporary, { force: true });
      }
      return (await stated(key))!;
    },
    async *get(key, { signal, range }) {
      signal.throwIfAborted();
      const file = await open(fileOf(key)).catch((cause) => {
        if (!isMissing(cause)) throw cause;
        throw new BackupError("storage/not-found", `There is no "${key}" in ${folder}`, { cause });
      });
      try {
        const { size } = await file.stat();
        let at = range?.start ?? 0;
        const end = Math.min(size, (range?.end ?? size - 1) + 1);
        const buffer = new Uint8Array(65_536);
        while (at < end) {
          signal.throwIfAborted();
          const { bytesRead } = await file.read(buffer, 0, Math.min(65_536, end - at), at);
          if (bytesRead === 0) break;
          at += bytesRead;
          yield buffer.subarray(0, bytesRead);
        }
      } finally {
        await file.close();
      }
    },
    async stat(key, { signal }) {
      signal.throwIfAborted();
      return await stated(key);
    },
    async *list(prefix, { signal }) {
      for (const name of await namesIn(folder)) {
        signal.throwIfAborted();
        const key = name.startsWith(unfinished) ? "" : keyOf(name);
        const info = key !== "" && key.startsWith(prefix) ? await stated(key) : undefined;
        if (info !== undefined) yield info;
      }
    },
    async delete(key, { signal }) {
      signal.throwIfAborted();
      await rm(fileOf(key), { force: true });
    },
    async sweep(prefix) {
      const left = (await namesIn(folder)).filter((name) =>
        name.startsWith(unfinished + encodeURIComponent(prefix))
      );
      for (const name of left) await rm(join(folder, name), { force: true });
      return left.length;
    },
    close: () => Promise.resolve(),
  };
}

async function write(
  path: string,
  body: Bytes | Iterable<Uint8Array>,
  signal: Abortable["signal"],
): Promise<void> {
  signal.throwIfAborted();
  const file: FileHandle = await open(path, "wx", 0o600);
  try {
    for await (const chunk of body) {
      signal.throwIfAborted();
      await file.writeFile(chunk);
    }
    signal.throwIfAborted();
    await file.sync();
  } finally {
    await file.close();
  }
}

function nameOf(key: string): string {
  const parts = key.split("/");
  const isGood = parts.every((part) => part !== "" && part !== "." && part !== "..") &&
    // deno-lint-ignore no-control-regex
    !/[\x00-\x1f\\]/.test(key);
  if (!isGood) {
    throw new BackupError("storage/bad-key", `"${key}" is no key of an object`);
  }
  return encodeURIComponent(key);
}

function keyOf(name: string): string {
  return decodeURIComponent(name);
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch((error) => {
    if (isMissing(error)) return [];
    throw error;
  });
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined;
}
