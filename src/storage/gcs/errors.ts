import { z } from "zod";
import { BackupError, type ErrorCode } from "../../core/errors.ts";
import { retryAfterMs } from "../../core/retry.ts";
import { ForeignAnswer, foreignAnswer } from "../foreign.ts";
import { isUnknownHost, networkCode, networkWords } from "../network.ts";

/** What was being done, for messages. */
export interface Doing {
  /** The rest of "Cannot …": `write`. */
  readonly verb: string;
  /** `gs://bucket/prefix/key` */
  readonly what: string;
}

/** Reads the store's answer to a failed request; takes the body. */
export async function answerError(
  response: Response,
  doing: Doing,
  now: Date,
): Promise<BackupError> {
  const { message, reason } = await readError(response);
  const { code, hint } = meaningOf(response.status, reason, message);
  const afterMs = retryAfterMs(response.headers.get("retry-after") ?? undefined, now);
  return new BackupError(
    code,
    `Cannot ${doing.verb} "${doing.what}": ${message || `status ${response.status}`}`,
    {
      hint,
      details: {
        status: response.status,
        ...(reason === "" ? {} : { reason }),
        ...(afterMs === undefined ? {} : { retryAfterMs: afterMs }),
      },
    },
  );
}

/** The error of a request that got no answer, or only a part of one. */
export function connectionError(cause: unknown, doing: Doing): BackupError {
  if (cause instanceof BackupError) return cause;
  if (cause instanceof ForeignAnswer) return foreignAnswer(`${doing.verb} "${doing.what}"`, cause);
  const code = networkCode(cause);
  const text = cause instanceof Error ? cause.message : String(cause);
  const why = networkWords(code) ?? (text || code || "the connection broke");
  return new BackupError("storage/unavailable", `Cannot ${doing.verb} "${doing.what}": ${why}`, {
    cause,
    hint: unavailableHint,
    ...(isUnknownHost(code) ? { details: { isUnknownHost: true } } : {}),
  });
}

/**
 * What the store says in JSON.
 *
 * @throws BackupError `storage/unavailable` for one that was cut short, `storage/foreign-answer`
 */
export function readJson<T>(schema: z.ZodType<T>, text: string, doing: Doing): T {
  const what = `${doing.verb} "${doing.what}"`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    if (!/^\s*[{[]/.test(text)) {
      const found = text === "" ? "it says nothing" : "it is no JSON";
      throw foreignAnswer(what, new ForeignAnswer(found, { cause }));
    }
    throw new BackupError("storage/unavailable", `Cannot ${what}: the answer is not whole`, {
      cause,
      hint: unavailableHint,
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw foreignAnswer(what, new ForeignAnswer("its JSON is not the store's"));
}

const unavailableHint = "Check the network and the store's status, then run again.";

const errorBody = z.object({
  error: z.object({
    message: z.string().default(""),
    errors: z.array(z.object({ reason: z.string().default("") })).default([]),
  }),
});

/** The message, and the first reason, of an answer that is JSON or, by intermediaries, is not. */
async function readError(response: Response): Promise<{ message: string; reason: string }> {
  const text = await response.text().catch(() => "");
  try {
    const { error } = errorBody.parse(JSON.parse(text));
    return { message: error.message, reason: error.errors[0]?.reason ?? "" };
  } catch {
    const isShort = text.length < 200 && !text.trimStart().startsWith("<");
    return { message: isShort ? text.trim() : "", reason: "" };
  }
}

/** Whether it was the bucket that was not found; the status is 404 for an object, too. */
export function isBucketMissing(answer: string): boolean {
  return /bucket does not exist/i.test(answer);
}

/** Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes */
function meaningOf(
  status: number,
  reason: string,
  message: string,
): { code: ErrorCode; hint?: string } {
  if (status === 408 || status === 429 || status >= 500) return unavailable;
  if (/rateLimitExceeded/i.test(reason)) return unavailable;
  if (/retention|hold/i.test(reason) || /retention policy|active hold/i.test(message)) {
    return {
      code: "storage/retained",
      hint: "The bucket keeps this object until its retention ends or its hold is lifted.",
    };
  }
  switch (status) {
    case 400:
      // The bytes were changed on the way: sending them again may help.
      if (/doesn't match|does not match/i.test(message)) return unavailable;
      return { code: "storage/failed" };
    case 401:
      return {
        code: "storage/denied",
        hint: "The credentials are missing or expired. Check keyFilename, credentials or " +
          "`gcloud auth application-default login`.",
      };
    case 403:
      return {
        code: "storage/denied",
        hint: "Give the account the role Storage Object Admin on the bucket.",
      };
    case 404:
      return isBucketMissing(message)
        ? { code: "storage/not-found", hint: "Make the bucket first, or correct its name." }
        : { code: "storage/not-found" };
    case 410:
      return { code: "storage/not-found" };
    case 412:
      return {
        code: "storage/exists",
        hint: "Nothing is ever overwritten. Delete it first if it is not needed.",
      };
    default:
      return { code: "storage/failed" };
  }
}

const unavailable = { code: "storage/unavailable", hint: unavailableHint } as const;
