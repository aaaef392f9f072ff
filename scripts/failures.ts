const mostLines = 40;
const mostColumns = 400;

/** How one process of `bun test` ended. */
export interface TestRun {
  /** What was run: a file, or the folder of several. */
  readonly title: string;
  /** Its exit status; undefined when it was ended by a signal, or because its time was over. */
  readonly status: number | undefined;
  readonly isLate: boolean;
  readonly output: string;
  /** The JUnit report; undefined when none was written. */
  readonly report: string | undefined;
}

/**
 * What failed in a run, each as a text for people: the test's full name, its file, its error; where
 * the process failed and no test of it did, the end of its output. None where all is well.
 */
export function failuresOf({ title, status, isLate, output, report }: TestRun): string[] {
  const failures = report === undefined ? [] : failedTests(report);
  const how = isLate
    ? "was ended because its time was over"
    : status === undefined
    ? "was ended by a signal"
    : `ended with status ${status}`;
  // bun's own status for tests that failed is 1.
  const isOdd = isLate || report === undefined || (status !== 0 && status !== 1) ||
    (status === 1 && failures.length === 0);
  return isOdd ? [...failures, `${title} ${how}; its last lines:\n${lastLines(output)}`] : failures;
}

// bun writes one element a line, and what stands in them as entities.
const element =
  /<(\/?)(testsuite|testcase)\b([^>]*?)(\/?)>|<(?:failure|error)\b([^>]*?)(?:\/>|>([^<]*)<)/g;

function failedTests(report: string): string[] {
  const suites: string[] = [];
  const failures: string[] = [];
  let test = { name: "", file: "" };
  for (
    const [, end, kind, attributes = "", , failure = "", text = ""] of report.matchAll(element)
  ) {
    if (kind === "testsuite") {
      if (end === "/") suites.pop();
      else suites.push(attribute(attributes, "name"));
    } else if (kind === "testcase") {
      if (end === "/") continue;
      const name = attribute(attributes, "name");
      // The outermost is the file.
      test = {
        name: [...suites.slice(1), name].join(" > "),
        file: `${attribute(attributes, "file")}:${attribute(attributes, "line")}`,
      };
    } else {
      const error = text.trim() === "" ? attribute(failure, "message") : decoded(text);
      failures.push(`${test.name}\n  ${test.file}\n${indented(shortened(error))}`);
    }
  }
  return failures;
}

function attribute(attributes: string, name: string): string {
  return decoded(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
}

const entities: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  amp: "&",
};

function decoded(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (all, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
    return entities[name] ?? all;
  });
}

/** The beginning says what is wrong, the end where; the middle is somebody's output. */
function shortened(text: string): string {
  const lines = text.trim().split("\n").map(cut);
  if (lines.length <= mostLines) return lines.join("\n");
  const half = mostLines / 2;
  const left = lines.length - mostLines;
  return [...lines.slice(0, half), `… ${left} more lines …`, ...lines.slice(-half)].join("\n");
}

function lastLines(text: string): string {
  return indented(text.trim().split("\n").slice(-mostLines).map(cut).join("\n"));
}

function cut(line: string): string {
  return line.length <= mostColumns ? line : `${line.slice(0, mostColumns)}…`;
}

function indented(text: string): string {
  return text.replace(/^/gm, "    ");
}
