/**
 * Runs `work`, and then what it deferred, last first, however it ended. What goes wrong at the end is
 * thrown where the work itself did not fail, once all of it was tried.
 */
export async function withDeferred<T>(
  work: (defer: (undo: () => unknown) => void) => Promise<T>,
): Promise<T> {
  const deferred: (() => unknown)[] = [];
  let failure: { readonly error: unknown } | undefined;
  async function undoAll(): Promise<void> {
    for (const undo of deferred.reverse()) {
      try {
        await undo();
      } catch (error) {
        failure ??= { error };
      }
    }
  }
  let result: T;
  try {
    result = await work((undo) => void deferred.push(undo));
  } catch (error) {
    await undoAll();
    throw error;
  }
  await undoAll();
  if (failure !== undefined) throw failure.error;
  return result;
}
