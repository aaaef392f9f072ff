import type { ArtifactHead, Emit } from "../../contracts/dump.ts";
import { BackupError } from "../../core/errors.ts";

/**
 * Watches over what a connector hands over. A backup is whole only when every artifact that was begun
 * is stored: one that failed, that nobody waited for, or that comes when the dump is over, is remembered,
 * whatever the connector makes of it.
 */
export interface Emits {
  /** What the connector gets. */
  readonly emit: Emit;
  /**
   * Says that the dump is over.
   *
   * @throws as {@link Emits.assertWhole}; BackupError `dump/unfinished`
   */
  end(): void;
  /** @throws what an artifact failed with; BackupError `dump/unfinished` */
  assertWhole(): void;
}

/** Starts watching. */
export function watchEmits(put: Emit): Emits {
  const pending = new Map<Promise<unknown>, ArtifactHead>();
  let failure: { readonly error: unknown } | undefined;
  let isOver = false;
  let begun = 0;

  function assertWhole(): void {
    if (failure !== undefined) throw failure.error;
  }

  return {
    emit(head, bytes) {
      begun++;
      if (isOver) failure ??= { error: unfinished(head, "came after the dump had ended") };
      const putting = isOver ? Promise.reject(failure!.error) : put(head, bytes);
      pending.set(putting, head);
      const noted = putting.catch((error) => {
        failure ??= { error };
        throw error;
      }).finally(() => pending.delete(putting));
      // Who does not wait for it is told by the run's end.
      noted.catch(() => {});
      return noted;
    },
    end() {
      isOver = true;
      assertWhole();
      const [head] = pending.values();
      if (head !== undefined) {
        failure = { error: unfinished(head, "was still being stored when the dump ended") };
      } else if (begun === 0) {
        failure = { error: unfinished(undefined, "ended without an artifact") };
      }
      assertWhole();
    },
    assertWhole,
  };
}

function unfinished(head: ArtifactHead | undefined, what: string): BackupError {
  const { role, slug } = head ?? { role: "dump", slug: "" };
  const name = slug === "" ? role : `${role} "${slug}"`;
  return new BackupError("dump/unfinished", `The ${name} ${what}, so the backup is not whole`, {
    hint: "This is a mistake in the connector: it has to await every emit before its dump ends.",
  });
}
