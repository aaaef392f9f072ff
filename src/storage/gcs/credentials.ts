import { readFile } from "node:fs/promises";
import type { GoogleAuth, JWT } from "google-auth-library";
import { BackupError, systemCode } from "../../core/errors.ts";

// The narrowest that reads, writes and deletes objects and their retention.
const scopes = ["https://www.googleapis.com/auth/devstorage.full_control"];

/** Where the right to a bucket comes from. */
export type GcsCredentials =
  /** Nothing: a public bucket, or an emulator. */
  | { readonly from: "nowhere" }
  /** Application default credentials: environment, gcloud's file, the machine's own account. */
  | { readonly from: "environment" }
  /** The content of a key file. */
  | { readonly from: "json"; readonly json: string; readonly where: string };

/**
 * Makes the function that gives each request its headers; tokens are fetched when first needed and
 * then as they expire.
 *
 * @throws BackupError `config/bad-credentials` for JSON that is none
 */
export async function createAuthorizer(
  credentials: GcsCredentials,
): Promise<() => Promise<Headers>> {
  if (credentials.from === "nowhere") return () => Promise.resolve(new Headers());
  const client = await openClient(credentials);
  return async () => {
    try {
      return new Headers(await client.getRequestHeaders());
    } catch (error) {
      throw authorizationError(error);
    }
  };
}

/**
 * Reads a key file.
 *
 * @throws BackupError `config/secret-file`
 */
export async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new BackupError("config/secret-file", `Cannot read the key file "${path}"`, {
      cause,
      hint: "Check that the file exists and that this user may read it.",
    });
  }
}

async function openClient(
  credentials: Exclude<GcsCredentials, { from: "nowhere" }>,
): Promise<GoogleAuth | JWT> {
  const { GoogleAuth, JWT } = await import("google-auth-library");
  if (credentials.from === "environment") return new GoogleAuth({ scopes });
  const key = parseKey(credentials.json, credentials.where);
  const [type, email, privateKey, keyId] = ["type", "client_email", "private_key", "private_key_id"]
    .map((name) => textIn(key, name));
  if (type === "service_account" && email !== undefined && privateKey !== undefined) {
    return new JWT({ email, key: privateKey, ...(keyId === undefined ? {} : { keyId }), scopes });
  }
  // Workload identity federation and others.
  return new GoogleAuth({ credentials: key, scopes });
}

function parseKey(json: string, where: string): object {
  try {
    const key: unknown = JSON.parse(json);
    if (typeof key === "object" && key !== null) return key;
  } catch {
    // Its message would show a part of the key.
  }
  throw new BackupError("config/bad-credentials", `Cannot read the credentials in ${where}`, {
    hint: "Give the JSON of a service account's key, as Google Cloud hands it out.",
  });
}

function textIn(key: object, name: string): string | undefined {
  const value: unknown = Reflect.get(key, name);
  return typeof value === "string" ? value : undefined;
}

function authorizationError(cause: unknown): BackupError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const message = `Cannot log in to Google Cloud: ${text}`;
  const status: unknown = cause instanceof Error ? Reflect.get(cause, "status") : undefined;
  const isNetwork = typeof status === "number"
    ? status >= 500 || status === 429
    // Without an answer and with a system's code, the network is at fault.
    : systemCode(cause) !== undefined;
  return isNetwork
    ? new BackupError("storage/unavailable", message, {
      cause,
      hint: "Check the network, then run again.",
    })
    : new BackupError("storage/denied", message, {
      cause,
      hint: "Set keyFilename or credentials, or run `gcloud auth application-default login`.",
    });
}
