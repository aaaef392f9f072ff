import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { fails, type ListedJson, type Place, place, succeeds } from "./support/cli.ts";

const examples = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "config");

/** The example of a config with plugins, where no package and no project is in sight. */
function withPlugins(name: string): Place {
  const at = place(name);
  cpSync(join(examples, "plugins"), join(at.folder, "plugins"), { recursive: true });
  cpSync(
    join(examples, "plugins.backup.config.ts"),
    join(at.folder, "backup.config.ts"),
  );
  const lines = Array.from({ length: 2_000 }, (_, id) => JSON.stringify({ id }));
  writeFileSync(join(at.folder, "events.jsonl"), `${lines.join("\n")}\n`);
  return at;
}

describe("a connector and a storage in files beside the config", () => {
  test("back up, list, verify, restore in the compiled binary", async () => {
    const at = withPlugins("plugins");
    await succeeds(at, ["config", "check", "--connect"]);
    await succeeds(at, ["run", "--once"]);
    const [backup] = (await succeeds(at, ["list", "--json"])).json() as (ListedJson & {
      destinations: string[];
    })[];
    assert.deepEqual(backup!.destinations, ["flat", "disk"]);
    const verified = await succeeds(at, ["verify", "--deep", "--json"]);
    for (const { checks, notes } of verified.json() as { checks: string[]; notes: string[] }[]) {
      assert.ok(checks.includes("structure"));
      assert.deepEqual(notes, [], "the plugin's own walker looked into it");
    }
    const args = ["--config", "backup.config.ts", "--yes"];
    const to = ["--from", "flat", "--to", "jsonl:back.jsonl"];
    await succeeds(at, ["restore", backup!.id, ...to, ...args]);
    const read = (name: string) => readFileSync(join(at.folder, name), "utf8");
    assert.equal(read("back.jsonl"), read("events.jsonl"));
    await fails(at, ["restore", "events", "--yes"], "restore/not-empty", 8);
    await succeeds(at, ["restore", "events", "--yes", "--overwrite"]);
    await succeeds(at, ["doctor"]);
    assert.match(
      (await succeeds(at, ["config", "schema", ...args.slice(0, 2)])).stdout,
      /json-lines/,
    );
  });

  test("are told apart when one of their files is damaged", async () => {
    const at = withPlugins("plugins-damaged");
    await succeeds(at, ["run", "--once"]);
    const flat = join(at.folder, "flat");
    const dump = readdirSync(flat).find((name) => name.includes("dump-001"))!;
    truncateSync(join(flat, dump), 20);
    const { stdout } = await fails(at, ["verify"], "verification/size", 7);
    assert.match(stdout, /DAMAGED .* flat/);
    assert.match(stdout, /good .* disk/);
  });

  test("have their options checked like built-in ones", async () => {
    const at = withPlugins("plugins-options");
    const path = join(at.folder, "backup.config.ts");
    const text = readFileSync(path, "utf8").replace("flatFolder({ path:", "flatFolder({ pth:");
    writeFileSync(path, text);
    const { stderr } = await fails(at, ["list"], "config/invalid", 3);
    assert.match(stderr, /line \d+: destinations\.flat\.pth: found an unknown key/);
    assert.match(stderr, /Did you mean "path"\?/);
  });
});
