import type { ObjectInfo } from "../../contracts/storage.ts";
import type { Abortable } from "../../core/bytes.ts";
import { type Access, call } from "./client.ts";
import { createSweeper } from "../../core/memory.ts";
import { handOverAt, readDirectly, sendAt } from "./direct.ts";
import { readPage } from "./page.ts";

/** Every object under a prefix, page by page. */
export async function* listObjects(
  access: Access,
  prefix: string,
  o: Abortable,
): AsyncGenerator<ObjectInfo> {
  const { ListObjectsV2Command } = access.sdk;
  const Prefix = access.keys.toPrefix(prefix);
  let ContinuationToken: string | undefined;
  const sweep = createSweeper();
  do {
    const page = await call(
      access,
      async (abortSignal) => {
        const command = new ListObjectsV2Command({
          Bucket: access.bucket,
          Prefix,
          ContinuationToken,
        });
        const direct = readDirectly(readPage, abortSignal);
        command.middlewareStack.add(direct.sendRequest, sendAt);
        command.middlewareStack.add(direct.handOver, handOverAt);
        await access.client.send(command, { abortSignal });
        return direct.answer();
      },
      { signal: o.signal, doing: `list "${access.location}/${prefix}"` },
    );
    for (const { name, bytes, modifiedAt } of page.entries) {
      const key = access.keys.toKey(name);
      if (key !== undefined) yield { key, bytes, modifiedAt };
    }
    sweep(page.entries.length);
    ContinuationToken = page.next;
  } while (ContinuationToken !== undefined);
}
