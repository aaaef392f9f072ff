/** How long a destination's objects are kept from being deleted. */
export interface Retention {
  readonly days: number;
}

/** When the retention of an object that is stored now ends; undefined without one. */
export function retentionEnd(retention: Retention | undefined, now: Date): Date | undefined {
  if (retention === undefined) return undefined;
  return new Date(now.getTime() + retention.days * 24 * 60 * 60 * 1_000);
}
