import assert from "node:assert/strict";
import { onFixtures } from "../../support/mongoKinds.ts";
import { recipe } from "../../../src/connectors/mongodb/recipe.ts";
import { recordedChain } from "./chains.ts";

onFixtures("replay")(
  "the recipe of a chain replays all pieces in one go, and says what that lacks",
  async () => {
    const chain = (await recordedChain()).slice(0, 3).map(({ manifest, artifacts }) => ({
      manifest,
      artifacts: artifacts.map(({ open: _, ...artifact }) => ({
        artifact,
        rawBytesCommand: `cat ../${manifest.id}/${artifact.role}`,
      })),
    }));
    const ids = chain.map(({ manifest }) => manifest.id);
    const steps = recipe(chain);
    assert.deepEqual(steps.map(({ title, reads }) => [title, reads.length]), [
      [undefined, 1],
      ["Replay the oplog since the full backup", 2],
    ]);
    const isRemark = (line: string) => line === "" || line.startsWith("#");
    const commands = steps[1]!.commands.filter((line) => !isRemark(line));
    assert.deepEqual(commands, [
      "mkdir -p oplog-replay/empty",
      `{ cat ../${ids[1]}/log; cat ../${ids[2]}/log; } > oplog-replay/oplog.bson`,
      'mongorestore --config="$HOME/mongodb.yaml" --oplogReplay ' +
      "--oplogFile=oplog-replay/oplog.bson oplog-replay/empty",
    ]);
    const remarks = steps[1]!.commands.filter(isRemark).join(" ");
    for (const word of ["DBBACKUP DOES THIS BETTER", "dropped", "renamed", "view", "transaction"]) {
      assert.ok(remarks.includes(word), word);
    }
    assert.match(steps[0]!.commands.join("\n"), /mongorestore .*--archive .*--oplogReplay/);
  },
);
