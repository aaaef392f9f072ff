import { Buffer } from "node:buffer";
import type { Bytes } from "../../core/bytes.ts";
import { quoteName } from "./client.ts";
import { createScanner, type PieceType } from "./scanner.ts";
import { identify } from "./statements.ts";

/** What makes one view at a dump's end, where stand-ins give way to the views themselves. */
interface Section {
  name: string;
  readonly bytes: Uint8Array[];
}

/**
 * Puts the views of a dump into an order in which each comes after those that it reads. The tools
 * write them by name, over stand-ins that cannot be written to, on which a view WITH CHECK OPTION
 * fails (ERROR 1368). Holds the texts of one database's views.
 */
export async function* orderViews(bytes: Bytes): Bytes {
  const out: Uint8Array[] = [];
  const order = createOrder(out);
  for await (const chunk of bytes) {
    order.push(chunk);
    yield* out;
    out.length = 0;
  }
  order.end();
  yield* out;
}

function createOrder(out: Uint8Array[]) {
  let sections: Section[] = [];
  let current: Section | undefined;
  /** Comments and blanks after a section, of which nobody knows yet whose they are. */
  let between: Uint8Array[] = [];
  let piece: Uint8Array[] = [];
  let type: PieceType = "blank";
  let head = "";
  /** Outside of views, bytes pass as they come. */
  let isPassing = false;

  function flush(): void {
    for (const { bytes } of sorted(sections)) out.push(...bytes);
    out.push(...between);
    sections = [];
    between = [];
    current = undefined;
  }

  function known(found: PieceType, text: string): void {
    [type, head] = [found, text];
    const begins = type === "comment" && text.startsWith("-- Final view structure for view ");
    if (begins) {
      current = { name: "", bytes: between };
      between = [];
      sections.push(current);
    } else if (current === undefined && type !== "blank" && type !== "comment") {
      flush();
      isPassing = true;
      out.push(...piece);
      piece = [];
    }
  }

  const scanner = createScanner({
    span(chunk, start, end) {
      if (isPassing) out.push(chunk.subarray(start, end));
      // Not slice(): a Buffer shares its memory with what that returns.
      else piece.push(new Uint8Array(chunk.subarray(start, end)));
    },
    known,
    end() {
      if (isPassing) {
        isPassing = false;
        return;
      }
      (current?.bytes ?? between).push(...piece);
      piece = [];
      if (current === undefined || type !== "statement") return;
      const statement = identify(head);
      if (statement.does === "create") current.name = statement.name;
      // The last statement of a view's own.
      if (/SET collation_connection\s*= @saved_col_connection/i.test(head)) current = undefined;
    },
  });
  return {
    push: scanner.push,
    end() {
      flush();
      out.push(...piece);
    },
  };
}

/** Those that are read before those that read them, else as they were. */
function sorted(sections: readonly Section[]): Section[] {
  const texts = new Map(
    sections.map((section) => [section, Buffer.concat(section.bytes).toString("utf8")]),
  );
  const done = new Set<Section>();
  const visit = (section: Section) => {
    if (done.has(section)) return;
    done.add(section);
    const text = texts.get(section)!;
    for (const other of sections) {
      if (other !== section && text.includes(quoteName(other.name))) visit(other);
    }
    done.delete(section);
    done.add(section);
  };
  sections.forEach(visit);
  return [...done];
}
