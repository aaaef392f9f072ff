import { availableParallelism } from "node:os";

/**
 * How many blocks are worked on at once: one more than there are cores, so that none waits while we
 * read; at most 4, so that memory stays small on large machines, where the dump is the bottleneck.
 */
export const blocksAtOnce: number = Math.min(4, availableParallelism() + 1);

/**
 * Works on several items at once and yields the results in the items' order. Asks for a new item
 * only when fewer than {@link blocksAtOnce} are under way.
 */
export async function* inParallel<T, R>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<R>,
  limit: number = blocksAtOnce,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  for await (const item of items) {
    const result = work(item);
    // Its error is thrown when its turn comes; until then it is not an unhandled one.
    result.catch(() => {});
    underWay.push(result);
    if (underWay.length >= limit) yield await underWay.shift()!;
  }
  while (underWay.length > 0) yield await underWay.shift()!;
}
