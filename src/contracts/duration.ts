import { z } from "zod";
import { durationExamples, durationPattern, parseDuration } from "../core/units.ts";

const durationError = ({ input }: { readonly input?: unknown }) =>
  `expected a duration such as ${durationExamples(input)}`;
/** A duration, still a text: {@link parseDuration}. */
export const duration = z.string({ error: durationError }).regex(durationPattern, {
  error: durationError,
  abort: true,
})
  .refine((text) => parseDuration(text) !== undefined, { error: durationError });
