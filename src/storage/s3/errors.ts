import { BackupError, type ErrorCode, systemCode } from "../../core/errors.ts";
import { retryAfterMs } from "../../core/retry.ts";
import type { Runtime } from "../../core/runtime.ts";
import { ForeignAnswer, foreignAnswer } from "../foreign.ts";
import { isUnknownHost, networkWords } from "../network.ts";

/**
 * Turns an error of the SDK into ours; what is ours already stays. The SDK's own object, which
 * holds the whole request, does not become the cause: its name and message do.
 *
 * @param doing what failed, as the rest of "Cannot …": `write "s3://bucket/key"`
 */
export function s3Error(error: unknown, doing: string, runtime: Runtime): BackupError {
  if (error instanceof BackupError) return error;
  if (error instanceof ForeignAnswer) return foreignAnswer(doing, error);
  const answer = readAnswer(error);
  const meaning = meaningOf(answer);
  const wait = retryAfterMs(answer.retryAfter, runtime.now());
  return new BackupError(meaning.code, `Cannot ${doing}: ${meaning.text ?? plain(answer)}`, {
    cause: new Error(`${answer.name}: ${runtime.secrets.redact(answer.message)}`),
    ...(meaning.hint === undefined ? {} : { hint: meaning.hint }),
    details: {
      error: answer.name,
      ...(isUnknownHost(answer.systemCode) ? { isUnknownHost: true } : {}),
      ...(answer.status === undefined ? {} : { status: answer.status }),
      ...(meaning.code === "storage/unavailable" && wait !== undefined
        ? { retryAfterMs: Math.min(wait, longestWaitMs) }
        : {}),
    },
  });
}

/** The store's own name of what went wrong, of an error that {@link s3Error} made. */
export function nameOf(error: unknown): string | undefined {
  if (!(error instanceof BackupError)) return undefined;
  const name = error.details?.error;
  return typeof name === "string" ? name : undefined;
}

/** True when the store says that it does not have the feature that a request used. */
export function isNotImplemented(error: unknown): boolean {
  return error instanceof BackupError &&
    (nameOf(error) === "NotImplemented" || error.details?.status === 501);
}

// A server that asks for more is not waited for.
const longestWaitMs = 60_000;

interface Answer {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly systemCode: string | undefined;
  readonly retryAfter: string | undefined;
  readonly region: string | undefined;
}

interface Meaning {
  readonly code: ErrorCode;
  /** The rest of the message; default the store's own words. */
  readonly text?: string | undefined;
  readonly hint?: string;
}

/** Reads what the SDK throws: service errors, errors of the network, and its own. */
function readAnswer(error: unknown): Answer {
  const fields = record(error);
  const headers = record(record(fields["$response"])["headers"]);
  const name = text(fields["name"]) ?? "Error";
  return {
    name: text(fields["Code"]) ?? name,
    message: text(fields["message"]) ?? String(error),
    status: number(record(fields["$metadata"])["httpStatusCode"]),
    systemCode: systemCode(error) ?? systemCode(fields["cause"]),
    retryAfter: text(headers["retry-after"]),
    region: text(headers["x-amz-bucket-region"]) ?? text(fields["Region"]),
  };
}

function meaningOf(answer: Answer): Meaning {
  const { status } = answer;
  const known = answer.region === undefined || !ofRegion.has(answer.name)
    ? meanings[answer.name]
    : undefined;
  if (known !== undefined) return known;
  if (answer.status === 301 || answer.status === 307 || answer.region !== undefined) {
    const region = answer.region === undefined ? "another region" : `region ${answer.region}`;
    return {
      code: "storage/failed",
      text: `the bucket is in ${region}`,
      hint: "Set the destination's region to the bucket's, and its endpoint, if it has one.",
    };
  }
  if (status === undefined) return ofNetwork(answer);
  // It says that all is well and cannot be read: cut short, or garbled on its way.
  if (status < 300) return { ...unavailable, text: "the store's answer is not whole" };
  if (status >= 500 || status === 429 || status === 408) return unavailable;
  if (status === 404) return { code: "storage/not-found", text: "it does not exist" };
  if (status === 412) return exists;
  if (status === 401 || status === 403) return denied;
  if (status === 409) return { code: "storage/unavailable", hint: later };
  // The answer to a HEAD has no body to say more.
  if (status === 400 && /^(Unknown|BadRequest|400)/.test(answer.name)) {
    return { ...denied, text: "the store calls the request bad, and says no more" };
  }
  return { code: "storage/failed" };
}

/** They may say which region it is. */
const ofRegion: ReadonlySet<string> = new Set([
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);

function ofNetwork({ name, message, systemCode }: Answer): Meaning {
  if (isUnknownHost(systemCode)) {
    return {
      code: "storage/unavailable",
      text: networkWords(systemCode),
      hint: "Check the endpoint and the region, then the name service.",
    };
  }
  if (systemCode !== undefined && /CERT|SELF_SIGNED|UNABLE_TO/.test(systemCode)) {
    return {
      code: "storage/failed",
      hint: "Check the endpoint's certificate; NODE_EXTRA_CA_CERTS names a file of more issuers.",
    };
  }
  if (systemCode !== undefined || networkNames.has(name)) {
    return { ...unavailable, text: networkWords(systemCode ?? name) };
  }
  if (/region is missing/i.test(message)) {
    return {
      code: "storage/failed",
      text: "no region is set",
      hint: "Set the destination's region, or AWS_REGION.",
    };
  }
  return { code: "storage/failed" };
}

/** Errors of the SDK and of the runtime that have no system code. */
const networkNames: ReadonlySet<string> = new Set([
  "TimeoutError",
  "RequestTimeout",
  "NetworkingError",
  "AbortError",
  "ConnectionRefused",
  "ConnectionClosed",
  "FailedToOpenSocket",
]);

const later = "Look at the network and at the store, then run again.";
const keys = "Check accessKeyId and secretAccessKey, or the profile or role that gives them.";
const unavailable: Meaning = { code: "storage/unavailable", hint: later };
const exists: Meaning = {
  code: "storage/exists",
  text: "it exists already",
  hint: "Nothing is ever overwritten. Delete it first if it is not needed.",
};
const denied: Meaning = {
  code: "storage/denied",
  hint: "Allow s3:ListBucket, s3:ListBucketMultipartUploads and s3:GetBucketVersioning on the " +
    "bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on its " +
    "objects; check the bucket's name and the credentials.",
};
const expired: Meaning = {
  code: "storage/denied",
  text: "the credentials have expired",
  hint: "Get new ones; an instance role or an SSO profile renews them by itself.",
};
const corrupted: Meaning = {
  code: "storage/unavailable",
  text: "the bytes arrived changed",
  hint: "Something between here and the store changes data: look at proxies and memory.",
};
const full: Meaning = {
  code: "storage/full",
  hint: "Free some space, prune old backups or name another destination.",
};

// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and MinIO's of its own.
const meanings: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: {
    code: "storage/not-found",
    text: "the bucket does not exist",
    hint: "Make it first, or check the bucket's name, the endpoint and the region.",
  },
  NoSuchKey: { code: "storage/not-found", text: "it does not exist" },
  NotFound: { code: "storage/not-found", text: "it does not exist" },
  NoSuchVersion: { code: "storage/not-found", text: "it does not exist in this version" },
  NoSuchUpload: {
    code: "storage/failed",
    text: "the upload is gone: something has ended or removed it",
    hint: "Check for a lifecycle rule of the bucket that removes unfinished uploads too early.",
  },
  PreconditionFailed: exists,
  ConditionalRequestConflict: { code: "storage/unavailable", text: "another write is under way" },
  OperationAborted: { code: "storage/unavailable", hint: later },
  SlowDown: unavailable,
  SlowDownRead: unavailable,
  SlowDownWrite: unavailable,
  ServiceUnavailable: unavailable,
  InternalError: unavailable,
  RequestTimeout: unavailable,
  RequestTimeoutException: unavailable,
  TooManyRequests: unavailable,
  ThrottlingException: unavailable,
  IncompleteBody: unavailable,
  BadDigest: corrupted,
  InvalidDigest: corrupted,
  XAmzContentSHA256Mismatch: corrupted,
  XAmzContentChecksumMismatch: corrupted,
  ExpiredToken: expired,
  ExpiredTokenException: expired,
  TokenRefreshRequired: expired,
  InvalidToken: { code: "storage/denied", text: "the session token is not valid", hint: keys },
  InvalidAccessKeyId: { code: "storage/denied", text: "the access key is unknown", hint: keys },
  SignatureDoesNotMatch: {
    code: "storage/denied",
    text: "the secret key does not fit the access key",
    hint: keys,
  },
  CredentialsProviderError: {
    code: "storage/denied",
    text: "no usable credentials were found",
    hint: "Set accessKeyId and secretAccessKey, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a " +
      "profile, or give this machine a role.",
  },
  RequestTimeTooSkewed: {
    code: "storage/denied",
    text: "the clock of this machine is more than 15 minutes off the store's",
    hint: "Set the clock; time synchronisation keeps it right.",
  },
  RequestExpired: {
    code: "storage/denied",
    text: "the request is too old for the store",
    hint: "Check the clock of this machine.",
  },
  InvalidBucketName: {
    code: "config/bad-bucket",
    text: "the store takes no bucket of this name",
    hint: "Correct the destination's bucket: 3 to 63 small letters, digits, dots and hyphens.",
  },
  AuthorizationHeaderMalformed: {
    code: "storage/failed",
    text: "the request was signed for another region than the bucket's",
    hint: "Set the destination's region to the bucket's.",
  },
  IllegalLocationConstraintException: {
    code: "storage/failed",
    text: "the bucket is in another region",
    hint: "Set the destination's region to the bucket's, and its endpoint, if it has one.",
  },
  InvalidObjectState: {
    code: "storage/failed",
    text: "the object is archived",
    hint: "Restore it from its archive storage class first, as the store's console does.",
  },
  InvalidStorageClass: { code: "storage/failed", hint: "Correct the destination's storageClass." },
  QuotaExceeded: full,
  XMinioStorageFull: full,
  XMinioAdminBucketQuotaExceeded: full,
  InsufficientCapacity: full,
  EntityTooLarge: {
    code: "storage/failed",
    hint: "Set the job's volumeSize or the destination's partSize below the store's limit.",
  },
  NotImplemented: {
    code: "storage/failed",
    text: "the store does not have this feature",
    hint: "Run `dbbackup doctor` to see what it has.",
  },
};

/** The store's own words, or the status where it has none. */
function plain({ name, message, status, systemCode }: Answer): string {
  // The answer to a HEAD has no body: neither a name nor a message.
  const isMute = /^unknown/i.test(name) && (message === "" || /^unknown/i.test(message));
  const said = message === "" || message === "UnknownError" ? name : message;
  const words = isMute && status !== undefined ? "the store refused" : said.replace(/\.$/, "");
  const number = status === undefined ? systemCode : `status ${status}`;
  return number === undefined || words.includes(number) ? words : `${words} (${number})`;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
