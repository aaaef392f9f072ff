import { describe, test } from "node:test";
import { available, isRequired, type Need } from "./installed.ts";

/** `test`, or a stand-in that skips or fails because something is missing. */
export interface NeedsTest {
  (title: string, run: () => void | Promise<unknown>): void;
  /** The same for a group, whose hooks then do not run either. */
  describe(title: string, group: () => void): void;
}

/**
 * `test` for tests that need servers or tools. Where one is missing the test is skipped, with the
 * missing one's name in its title; where it is required ({@link isRequired}) the test fails.
 *
 * All tests are those of `node:test`: Bun 1.4 overlooks the ends of asynchronous tests in a process
 * that also uses `bun:test`.
 *
 * @example
 * const test = needs("mysql", "age");
 * test("restores an encrypted dump", async () => { … });
 */
export function needs(...names: readonly Need[]): NeedsTest {
  const missing = names.filter((name) => !available(name));
  const required = missing.filter(isRequired);
  if (missing.length === 0) {
    return Object.assign(
      (title: string, run: () => void | Promise<unknown>) =>
        void test(title, async () => void await run()),
      { describe: (title: string, group: () => void) => void describe(title, group) },
    );
  }
  const withReason = (title: string) => `${title} [needs ${missing.join(", ")}]`;
  if (required.length === 0) {
    return Object.assign(
      (title: string) => test.skip(withReason(title), () => {}),
      { describe: (title: string) => test.skip(withReason(title), () => {}) },
    );
  }
  const fail = (title: string) =>
    test(withReason(title), () => {
      throw new Error(`${required.join(", ")} not found: run scripts/servers`);
    });
  return Object.assign((title: string) => fail(title), {
    describe: (title: string) => fail(title),
  });
}
