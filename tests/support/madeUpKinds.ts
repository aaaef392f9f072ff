import { basename } from "node:path";
import { z } from "zod";
import type { ConnectorKind } from "../../src/contracts/connector.ts";
import { defineConnector, defineStorage } from "../../src/contracts/declare.ts";
import type { StorageKind } from "../../src/contracts/storage.ts";
import { BackupError } from "../../src/core/errors.ts";
import { env, Secret } from "../../src/core/secret.ts";

// What "dbbackup" exports, and below the two lines that register one kind more of each.
export * from "../../src/mod.ts";

const ledgerOptions = z.strictObject({
  path: z.string().describe("The ledger's file."),
  pen: z.enum(["ink", "pencil"]).optional().describe('What it is written with; default "ink".'),
  key: z.instanceof(Secret).optional(),
});

const ledgerKind: ConnectorKind<z.infer<typeof ledgerOptions>> = {
  kind: "ledger",
  title: "Ledger",
  schemes: ["ledger"],
  description: "A ledger of paper.",
  urls: ["ledger:PATH"],
  examples: [{ name: "books", options: { path: "./books.ledger", key: env("LEDGER_KEY") } }],
  options: ledgerOptions,
  settings: [],
  omissions: [],
  formats: [],
  fromUrl: (url) => ({ path: url.slice("ledger:".length) }),
  open: () => Promise.reject(new BackupError("connection/unreachable", "It is at the binder's")),
  recipe: () => [],
  jobName: ({ path }) => basename(path),
};

const shelfKind: StorageKind<{ board: number }> = {
  kind: "shelf",
  schemes: ["shelf"],
  description: "A shelf.",
  examples: [{ name: "top", options: { board: 7 } }],
  options: z.strictObject({ board: z.number().describe("Counted from the floor.") }),
  fromUrl: () => ({ board: 1 }),
  open: () => Promise.reject(new BackupError("storage/unavailable", "It has fallen down")),
};

export const ledger = defineConnector(ledgerKind);
export const shelf = defineStorage(shelfKind);
