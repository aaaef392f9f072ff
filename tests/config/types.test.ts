import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import * as exported from "../../src/mod.ts";
import { declarationFile } from "../../src/config/declaration.ts";
import { typescriptTemplate } from "../../src/config/template.ts";
import { builtInKinds } from "../../src/registry.ts";
import { run } from "../support/run.ts";
import { folderWith } from "./loading.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const good = `
import { BackupError, defineConfig, defineStorage, env, local, postgres, sqlite, type StorageKind, z }
  from "dbbackup";
interface MemoryOptions { path: string; limit?: number | undefined }
const kind: StorageKind<MemoryOptions> = {
  kind: "memory",
  schemes: ["memory"],
  options: z.strictObject({ path: z.string(), limit: z.number().optional() }),
  fromUrl: (url) => ({ path: url }),
  open() { throw new BackupError("storage/failed", "not now", { hint: "later" }); },
};
const memory = defineStorage(kind);
export default defineConfig({
  databases: { shop: postgres({ url: env("X") }), app: sqlite({ path: "app.db" }) },
  destinations: { disk: local({ path: "x" }), memory: memory({ path: "y" }) },
  defaults: { compression: { codec: "zstd", level: 3 }, destinations: ["disk"] },
  jobs: {
    shop: {
      database: "shop",
      destinations: ["disk", "memory"],
      timeout: "2h",
      retention: { daily: 7, maxAge: "90d", destinations: { memory: { last: 3 } } },
      timezone: "Europe/Berlin",
    },
    app: { database: "app", destinations: ["disk"] },
  },
});
`;

const start = `import { defineConfig, local, sqlite } from "dbbackup";
export default defineConfig({
  databases: { app: sqlite({ path: "app.db" }) },
  destinations: { disk: local({ path: "x" }) },
`;

/** Each must fail to compile, with this in what the compiler says. */
const bad: [name: string, text: string, message: RegExp][] = [
  [
    "a database that is not declared",
    `${start}jobs: { app: { database: "apq", destinations: ["disk"] } } });`,
    /Type '"apq"' is not assignable to type '"app"'/,
  ],
  [
    "a destination that is not declared",
    `${start}jobs: { app: { database: "app", destinations: ["dsk"] } } });`,
    /Type '"dsk"' is not assignable to type '"disk"'/,
  ],
  [
    "a destination of the defaults that is not declared",
    `${start}defaults: { destinations: ["dsk"] }, jobs: {} });`,
    /Type '"dsk"' is not assignable to type '"disk"'/,
  ],
  [
    "an unknown key of a job",
    `${start}jobs: { app: { database: "app", destinations: ["disk"], retension: 3 } } });`,
    /'retension' does not exist/,
  ],
  [
    "a destination of the retention that is not declared",
    `${start}jobs: { app: { database: "app", destinations: ["disk"],
      retention: { destinations: { dsk: { last: 1 } } } } } });`,
    /'dsk' does not exist/,
  ],
  [
    "an unknown rule of retention",
    `${start}jobs: { app: { database: "app", destinations: ["disk"], retention: { dayly: 7 } } } });`,
    /'dayly' does not exist/,
  ],
  [
    "a wrong compression",
    `${start}jobs: { app: { database: "app", destinations: ["disk"], compression: "lz4" } } });`,
    /Type '"lz4"' is not assignable to type/,
  ],
  [
    "a database in the place of a destination",
    `import { defineConfig, sqlite } from "dbbackup";
export default defineConfig({ databases: {}, destinations: { d: sqlite({ path: "x" }) }, jobs: {} });`,
    /'DatabaseDeclaration' is not assignable to type 'DestinationDeclaration'|Types of property 'declares' are incompatible|DatabaseDeclaration/,
  ],
  [
    "an unknown option of a factory",
    `import { sqlite } from "dbbackup";\nexport default sqlite({ path: "x", pth: "y" });`,
    /'pth' does not exist/,
  ],
];

const declared = await declarationFile();

// A type check takes a second, and many where several wait for one processor.
const checking = { timeout: 120_000 };

/**
 * Type-checks texts as configs, with the project's own types or with those of dbbackup.d.ts: all in
 * one go, since what takes long is to read the types.
 *
 * @returns what the compiler says of each
 */
async function check(texts: readonly string[], types: "own" | "declared"): Promise<string[]> {
  const names = texts.map((_, index) => `config${index}.ts`);
  const head = types === "own" ? "" : '/// <reference path="./dbbackup.d.ts" />\n';
  const folder = folderWith({
    ...Object.fromEntries(names.map((name, index) => [name, head + texts[index]])),
    "dbbackup.d.ts": declared,
    "empty.json": "{}",
  });
  const config = types === "own" ? join(root, "deno.json") : join(folder, "empty.json");
  const { code, stderr } = await run(
    "deno",
    ["check", "--no-lock", "--config", config, ...names.map((name) => join(folder, name))],
    {
      env: { ...globalThis.process.env, NO_COLOR: "1" },
      cwd: types === "own" ? root : folder,
      timeoutMs: 110_000,
    },
  );
  const errors = stderr.split(/^(?=TS\d+ \[ERROR\]: )/m).slice(1);
  assert.equal(code === 0, errors.length === 0, stderr);
  const said = names.map((name) =>
    errors.filter((error) => /\bat file:.*\/([^/]+):\d+:\d+$/m.exec(error)?.[1] === name)
  );
  assert.equal(said.flat().length, errors.length, stderr);
  return said.map((own) => own.join(""));
}

for (const types of ["own", "declared"] as const) {
  describe(`the ${types === "own" ? "project's own types" : "types of dbbackup.d.ts"}`, () => {
    let output: readonly string[] = [];
    before(async () => {
      output = await check([good, ...bad.map(([, text]) => text)], types);
    }, checking);
    test("take a good config with a plugin", () => {
      assert.equal(output[0], "");
    });
    for (const [index, [name, , message]] of bad.entries()) {
      test(`refuse ${name}`, () => {
        assert.match(output[index + 1]!, message);
      });
    }
  });
}

describe("dbbackup.d.ts", () => {
  test("stands alone, with doc comments", checking, () => {
    const folder = folderWith({ "dbbackup.d.ts": declared });
    const program = ts.createProgram([join(folder, "dbbackup.d.ts")], {
      strict: true,
      exactOptionalPropertyTypes: true,
      target: ts.ScriptTarget.ESNext,
      types: [],
    });
    assert.deepEqual(ts.getPreEmitDiagnostics(program).map(({ messageText }) => messageText), []);
    assert.doesNotMatch(declared, /\bimport\b.*["(]|: any[;,)]/);
    assert.match(declared, /\/\*\* The newest so many\. \*\/\n +readonly last\?: number/);
    assert.match(declared, /\/\*\* Put before every key.*\n +prefix\?: Text/);
  });

  test("declares every value that the module exports, and no other", () => {
    const values = [...declared.matchAll(/^ {2}export (?:function|class|namespace) (\w+)/gm)]
      .map((match) => match[1]!);
    assert.deepEqual([...new Set(values)].sort(), Object.keys(exported).sort());
  });

  test("declares only what zod has", () => {
    const body = declared.slice(declared.indexOf("namespace z {"));
    const functions = [...body.matchAll(/^ {4}export function (\w+)/gm)].map((match) => match[1]!);
    assert.ok(functions.length > 5);
    for (const name of [...functions, "enum", "instanceof"]) assert.ok(name in exported.z, name);
  });

  test("has the same types as the module", checking, async () => {
    const names = [
      "JobSettingsInput",
      "LogInput",
      "CompressionInput",
      "SourceInfo",
      "DumpSettings",
      "DumpPlan",
      "DumpResult",
      "RestoreOptions",
      "RestorePlan",
      "RestoreResult",
      "Manifest",
      "Inventory",
      "ObjectInfo",
      "ErrorCode",
      "ByteRange",
    ];
    // Two classes with private fields, such as Secret, never are the same type.
    const withoutSecret = (type: string) =>
      type.endsWith(".JobSettingsInput") ? `Omit<${type}, "encryption">` : type;
    const lines = names.map((name) => {
      const [own, declared] = [withoutSecret(`Own.${name}`), withoutSecret(`Declared.${name}`)];
      return `export const ${name}: [${own}, ${declared}] = null! as [${declared}, ${own}];`;
    });
    for (const type of ["JobSettingsInput", "ConfigInput<string, string>"]) {
      const [own, declared] = [`keyof Own.${type}`, `keyof Declared.${type}`];
      lines.push(`null! as [${declared}, ${own}] satisfies [${own}, ${declared}];`);
    }
    const mod = join(root, "src", "mod.ts");
    // The import map must not lead "dbbackup" to the module itself: then nothing would be compared.
    const deno = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
    const { dbbackup: _, ...imports } = deno.imports;
    const folder = folderWith({
      "dbbackup.d.ts": declared,
      "config.ts": `/// <reference path="./dbbackup.d.ts" />
import type * as Declared from "dbbackup";
import type * as Own from "${mod}";
${lines.join("\n")}
`,
      "deno.json": JSON.stringify({ ...deno, imports, nodeModulesDir: "none", tasks: {} }),
    });
    const { code, stderr } = await run(
      "deno",
      ["check", "--no-lock", join(folder, "config.ts")],
      { env: { ...globalThis.process.env, NO_COLOR: "1" }, cwd: folder, timeoutMs: 110_000 },
    );
    assert.equal(code, 0, stderr);
  });

  test("makes the config of `config init` compile", checking, async () => {
    assert.deepEqual(await check([typescriptTemplate(builtInKinds)], "declared"), [""]);
  });
});
