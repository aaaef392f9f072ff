import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { linesKind, linesState } from "../support/numberedLines.ts";
import { testRuntime } from "../support/runtime.ts";
import { tempDir } from "../support/workspace.ts";
import { changesContract } from "../contracts/changes.ts";

changesContract("the kind of the tests", () => {
  const state = linesState();
  const counts = new Map<string, number>();
  const write = (path: string) => {
    const count = counts.get(path) ?? 0;
    counts.set(path, count + 1);
    appendFileSync(path, `${count} ${Date.parse("2026-11-23") + count * 1000} change\n`);
  };
  return Promise.resolve({
    kind: linesKind(state),
    runtime: testRuntime(),
    source() {
      state.keptFrom = 0;
      const path = join(tempDir("lines"), "shop.lines");
      writeFileSync(path, "");
      write(path);
      return Promise.resolve({ path });
    },
    change: ({ path }) => Promise.resolve(write(path)),
    breakLog() {
      state.keptFrom = 1_000;
      return Promise.resolve();
    },
  });
});
