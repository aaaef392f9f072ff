/** Maps with at most `limit` calls under way, in order; the first error ends it. */
export async function mapSome<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await map(items[index]!);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const workers = Array.from({ length: Math.min(limit, items.length) }, work);
  // All have come to rest before the error is told: nothing goes on behind the caller's back.
  await Promise.allSettled(workers);
  await Promise.all(workers);
  return results;
}
