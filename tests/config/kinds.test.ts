import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { declaration } from "../../scripts/declaration/declaration.ts";
import { databaseFromUrl, destinationFromUrl } from "../../src/config/adhoc.ts";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { typescriptTemplate, yamlTemplate } from "../../src/config/template.ts";
import factories, * as builtIn from "../../src/kinds.ts";
import {
  connectorKinds,
  databaseUrls,
  destinationUrls,
  kindsMadeBy,
  storageKinds,
} from "../../src/registry.ts";
import { ledger, shelf } from "../support/madeUpKinds.ts";
import { run } from "../support/run.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const kinds = kindsMadeBy([...factories, ledger, shelf]);

describe("a kind of database and one of destination that a line registers", () => {
  test("are in the type file, with their options and texts", async () => {
    const text = await declaration(join(root, "tests", "support", "madeUpKinds.ts"));
    assert.match(
      text,
      /interface LedgerOptions \{\n +\/\*\* The ledger's file\. \*\/\n +path: string;\n/,
    );
    assert.match(text, /pen\?: "ink" \| "pencil" \| undefined;\n +key\?: Secret \| undefined;/);
    assert.match(
      text,
      /A ledger of paper\. \*\/\n +export function ledger\(options: LedgerOptions\): DatabaseDecl/,
    );
    assert.match(
      text,
      /export function shelf\(options: ShelfOptions & UploadLimitInput\): DestinationDeclaration;/,
    );
  });

  test("are in the configs that `config init` writes", () => {
    const typescript = typescriptTemplate(kinds);
    assert.match(typescript, /Also there: .*, ledger, .*, shelf, file/);
    const entry = '    // books: ledger({ path: "./books.ledger", key: env("LEDGER_KEY") }),\n';
    assert.ok(typescript.includes(entry), typescript);
    const yaml = yamlTemplate(kinds);
    assert.match(yaml, /type: postgres # or .*, ledger\n/);
    const uncommented = yaml.replace(/^( +)# (?=(books|top):)/gm, "$1");
    const { databases, destinations } = parse(uncommented);
    const key = "${LEDGER_KEY}";
    assert.deepEqual(databases.books, { type: "ledger", path: "./books.ledger", key });
    assert.deepEqual(destinations.top, { type: "shelf", board: 7 });
  });

  test("are in the JSON Schema", () => {
    const { properties } = JSON.parse(JSON.stringify(configJsonSchema(kinds)));
    const { allOf, properties: all } = properties.databases.additionalProperties;
    assert.ok(all.type.enum.includes("ledger"));
    const own = allOf.at(-1).then.properties;
    assert.deepEqual(own.type, { const: "ledger", description: "A ledger of paper." });
    assert.equal(own.path.description, "The ledger's file.");
    assert.match(JSON.stringify(properties.destinations), /Counted from the floor\./);
  });

  test("are told by their URLs, in help and hints", () => {
    assert.match(databaseUrls(kinds.connectors), /sqlite:PATH, ledger:PATH$/);
    assert.match(destinationUrls(kinds.storages), /^file:, .* or shelf:$/);
    assert.equal(databaseFromUrl("ledger:a.ledger", kinds.connectors).kind.kind, "ledger");
    assert.equal(destinationFromUrl("shelf:1", kinds.storages, "/").kind.kind, "shelf");
    assert.throws(() => databaseFromUrl("ledgr:x", kinds.connectors), {
      hint: /Did you mean "ledger:"\? .*; SQLite is sqlite:PATH; Ledger is ledger:PATH\.$/,
    });
  });

  test("are declared in a config by their factories", () => {
    const database = ledger({ path: "x", pen: "pencil" });
    assert.deepEqual([database.declares, database.kind.kind], ["database", "ledger"]);
    const destination = shelf({ board: 1, uploadLimit: "1MiB/s" });
    assert.deepEqual([destination.declares, destination.kind.kind], ["destination", "shelf"]);
  });
});

describe("the built-in kinds", () => {
  test("are imported by the name that YAML has for them", () => {
    const { default: _, ...named } = builtIn;
    for (const [name, factory] of Object.entries(named)) {
      const own = "connector" in factory
        ? factory.connector.kind
        : "storage" in factory
        ? factory.storage.kind
        : factory.strategy.id;
      assert.equal(name, own);
    }
    assert.equal(Object.keys(named).length, factories.length);
  });

  test("have examples that their options take, and a description", () => {
    for (
      const { kind, options, examples = [], description } of [...connectorKinds, ...storageKinds]
    ) {
      assert.ok(description, kind);
      for (const example of examples) assert.ok(options.safeParse(example.options).success, kind);
    }
  });

  test("are all in the help of --from and --to", async () => {
    for (
      const [command, urls] of [
        ["backup", [databaseUrls(), destinationUrls()]],
        ["list", [destinationUrls()]],
      ] as const
    ) {
      const { stdout } = await run(process.execPath, [join(root, "main.ts"), command, "--help"]);
      const help = stdout.replace(/\s+/g, " ");
      for (const text of urls) assert.ok(help.includes(text), `${command}: ${help}`);
    }
  });
});
