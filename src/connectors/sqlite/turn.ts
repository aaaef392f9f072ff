/** The last use of each file, by path. */
const uses = new Map<string, Promise<void>>();

/**
 * Runs `use` when no other use of the same file is under way in this process.
 *
 * SQLite's locks are POSIX locks, which a process loses as soon as it closes any descriptor of the
 * file. Two jobs on one file in the daemon would break each other's locks by reading its header, and
 * so a copy could be torn (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
export async function inTurn<T>(path: string, use: () => Promise<T>): Promise<T> {
  const before = uses.get(path) ?? Promise.resolve();
  const result = before.then(use);
  const done = result.then(() => {}, () => {});
  uses.set(path, done);
  try {
    return await result;
  } finally {
    if (uses.get(path) === done) uses.delete(path);
  }
}
