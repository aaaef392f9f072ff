/** JSON with the fields of objects in the order of their names: equal for equal values. */
export function canonicalJson(value: unknown): string | undefined {
  return JSON.stringify(
    value,
    (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => a < b ? -1 : 1))
        : part,
  );
}
