import { z } from "zod";

/** For how many days a store keeps an object. */
export const retentionDays = z.number().int().min(1).max(36_500);

/**
 * The `retention` of stores that keep objects until a date: for how many days, and whether somebody
 * with the right to can lift it ("Unlocked") or nobody ("Locked").
 */
export const retentionSchema = z.strictObject({
  mode: z.enum(["Locked", "Unlocked"]),
  days: retentionDays,
});

/** How long a destination's objects are kept from being deleted. */
export interface Retention {
  readonly days: number;
}

/** When the retention of an object that is stored now ends; undefined without one. */
export function retentionEnd(retention: Retention | undefined, now: Date): Date | undefined {
  if (retention === undefined) return undefined;
  return new Date(now.getTime() + retention.days * 24 * 60 * 60 * 1_000);
}
