declare global {
  // On globalThis, so that a second copy of this module (bun test --isolate) finds the same things.
  var dbbackupTestThings: Map<string, unknown> | undefined;
}

/**
 * Makes a thing on first use and hands the same one to everybody after that, in all test files:
 * `bun test` runs them in one process. When making it fails, the next caller tries again.
 *
 * @param name Stands for the type too, so each is used in one place only.
 */
export function shared<T>(name: string, make: () => Promise<T>): Promise<T> {
  return sharedNow(name, () => {
    const made = make();
    made.catch(() => globalThis.dbbackupTestThings?.delete(name));
    return made;
  });
}

/** {@link shared} for what is made at once. */
export function sharedNow<T>(name: string, make: () => T): T {
  const things = globalThis.dbbackupTestThings ??= new Map<string, unknown>();
  if (!things.has(name)) things.set(name, make());
  return things.get(name) as T;
}
