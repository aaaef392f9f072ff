import { z } from "zod";
import type { DatabaseInventory, InventoryObject } from "../../../contracts/inventory.ts";
import { type CollectionMetadata, dataNamespaceOf, isOplog, isOwn } from "./namespace.ts";
import type { OplogChange } from "./oplog.ts";
import { damaged } from "./parser.ts";

const metadataSchema = z.string().transform((text, context) => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    context.addIssue("no JSON");
    return z.NEVER;
  }
}).pipe(z.looseObject({
  indexes: z.array(z.looseObject({ name: z.string() })).nullish(),
  options: z.looseObject({}).nullish(),
}));

interface Collection {
  readonly count: number;
  /** In the archive; undefined for what only its oplog makes. */
  readonly bytes: number | undefined;
  isExact: boolean;
  expires: boolean;
  readonly indexes: Set<string>;
}

/** The collections, views and indexes of one database, by name. */
interface Model {
  readonly collections: Map<string, Collection>;
  readonly views: Set<string>;
}

/**
 * The objects that an archive holds after its oplog is replayed, by database.
 *
 * @param announced the prelude
 * @param dumped the documents of each data namespace
 * @param changes what the oplog creates and drops, in order
 * @param touched the namespaces that the oplog writes to
 */
export function catalogOf(
  announced: readonly CollectionMetadata[],
  dumped: ReadonlyMap<string, { readonly documents: number; readonly bytes: number }>,
  changes: readonly OplogChange[],
  touched: ReadonlySet<string>,
): DatabaseInventory[] {
  const models = new Map<string, Model>();
  const modelOf = (db: string) => {
    const model = models.get(db) ?? { collections: new Map(), views: new Set() };
    models.set(db, model);
    return model;
  };
  for (const entry of announced) {
    if (isOplog(entry) || !isOwn(entry.collection)) continue;
    const { collections, views } = modelOf(entry.db);
    if (entry.type === "view" || entry.type === "timeseries") views.add(entry.collection);
    if (entry.type === "view") continue;
    const namespace = dataNamespaceOf(entry);
    collections.set(namespace.slice(entry.db.length + 1), {
      count: dumped.get(namespace)?.documents ?? 0,
      bytes: dumped.get(namespace)?.bytes,
      isExact: true,
      ...described(entry.metadata),
    });
  }
  for (const change of changes) {
    if (!("collection" in change) || isOwn(change.collection)) apply(change, modelOf);
  }
  for (const [db, { collections }] of models) {
    for (const [name, collection] of collections) {
      if (touched.has(`${db}.${name}`)) collection.isExact = false;
    }
  }
  return [...models].filter(([db]) => !isInternal(db))
    .map(([database, model]) => ({ database, objects: objectsOf(model) }))
    .filter(({ objects }) => objects.length > 0)
    .sort((a, b) => a.database < b.database ? -1 : 1);
}

function isInternal(db: string): boolean {
  return db === "local" || db === "config" || db === "";
}

/** A collection's indexes but that of _id, which every one has, and whether documents expire. */
function described(metadata: string): Pick<Collection, "indexes" | "expires"> {
  if (metadata === "") return { indexes: new Set(), expires: false };
  const { success, data } = metadataSchema.safeParse(metadata);
  if (!success) throw damaged("the description of a collection cannot be read");
  const indexes = data.indexes ?? [];
  return {
    indexes: new Set(indexes.map(({ name }) => name).filter((name) => name !== "_id_")),
    expires: [data.options ?? {}, ...indexes].some((one) => "expireAfterSeconds" in one),
  };
}

function apply(change: OplogChange, modelOf: (db: string) => Model): void {
  const { collections, views } = modelOf(change.db);
  switch (change.type) {
    case "create":
      // The dump may have seen it already; then its documents were counted.
      if (collections.has(change.collection)) break;
      collections.set(change.collection, {
        ...{ count: 0, bytes: undefined, isExact: false, expires: false, indexes: new Set() },
      });
      break;
    case "drop":
      collections.delete(change.collection);
      views.delete(change.collection);
      break;
    case "create-view":
      views.add(change.collection);
      break;
    case "create-index":
      collections.get(change.collection)?.indexes.add(change.index);
      break;
    case "drop-index":
      if (change.index === "*") collections.get(change.collection)?.indexes.clear();
      else collections.get(change.collection)?.indexes.delete(change.index);
      break;
    case "expire": {
      const collection = collections.get(change.collection);
      if (collection !== undefined) collection.expires = true;
      break;
    }
    case "drop-database":
      collections.clear();
      views.clear();
      break;
    case "write":
  }
}

function objectsOf({ collections, views }: Model): InventoryObject[] {
  const objects: InventoryObject[] = [];
  for (const name of [...collections.keys()].sort()) {
    const { count, bytes, isExact, expires, indexes } = collections.get(name)!;
    // The server removes documents whose time has passed, as soon as they are restored.
    objects.push({
      ...{ type: "collection", name, count, isExact: isExact && !expires },
      ...bytes === undefined ? {} : { bytes },
      ...expires ? { expires } : {},
    });
    for (const index of [...indexes].sort()) {
      objects.push({ type: "index", name: `${name}.${index}` });
    }
  }
  return [...objects, ...[...views].sort().map((name) => ({ type: "view", name } as const))];
}
