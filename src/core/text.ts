/** Bytes for people, in binary units with one decimal: `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** A span of time for people, in its two largest units: `2d 3h`, `4m 5s`, `0.3s`. */
export function formatDuration(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return parts.slice(first, first + 2).filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`).join(" ");
}

/** A number of things: `1 job`, `2 jobs`. */
export function counted(count: number, thing: string, things: string = `${thing}s`): string {
  return `${count} ${count === 1 ? thing : things}`;
}

/** A list for a sentence: `a, b, c`, and of a long one the first `most`, `… and 1990 more`. */
export function listed(words: readonly string[], most = 10): string {
  const first = words.slice(0, most);
  const rest = words.length - first.length;
  return rest === 0 ? first.join(", ") : `${first.join(", ")} and ${rest} more`;
}

/** A text whose words of more than 80 characters, such as keys, show their start and end only. */
export function briefWords(text: string): string {
  return text.replace(/\S{81,}/g, (word) => `${word.slice(0, 24)}…${word.slice(-12)}`);
}

/** The name nearest to `wrong`, for "did you mean": at most two edits away, or undefined. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.max(2, Math.floor(wrong.length / 2) + 1));
  for (const name of names) {
    const distance = editDistance(wrong.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** A sentence for a wrong name: `Did you mean "shop"?`, or the list of the names there are. */
export function suggestion(wrong: string, names: readonly string[]): string {
  const best = nearest(wrong, names);
  if (best !== undefined) return `Did you mean "${best}"?`;
  return names.length === 0 ? "None is defined." : `Known: ${listed(names)}.`;
}

/** A word quoted for a POSIX shell, only where it needs it. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Levenshtein's distance, with a swap of neighbours counted as one edit. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + cost);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j]!, beforeLast[j - 2]! + 1);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
