import type { S3ClientConfig } from "@aws-sdk/client-s3";
import { BackupError } from "../../core/errors.ts";
import type { Environment, Runtime } from "../../core/runtime.ts";
import { checkedEndpoint, checkedKey } from "../checks.ts";
import { fetchHandler } from "./http.ts";
import type { S3Options } from "./options.ts";

/**
 * How the SDK's client is set up. Credentials are the static ones of the options; else those of the
 * profile; else those in the environment that was passed in; else the SDK looks itself: shared files,
 * SSO, web identity, the role of a container or an instance. That last search reads the process's
 * own environment, as nothing in the SDK lets it read another.
 *
 * @throws BackupError `config/s3-credentials`, `config/s3-region`, `config/bad-endpoint`,
 * `config/bad-credentials` and those of resolving secrets
 */
export async function clientConfig(options: S3Options, runtime: Runtime): Promise<S3ClientConfig> {
  const { env, secrets } = runtime;
  const resolve = async (text: S3Options["prefix"]) =>
    text === undefined ? undefined : await secrets.resolve(text, { isPublic: true });
  const profile = await resolve(options.profile);
  const given = await resolve(options.endpoint);
  const endpoint = given !== undefined
    ? checkedEndpoint(given, "endpoint")
    : variable(env, "AWS_ENDPOINT_URL_S3", checkedEndpoint) ??
      variable(env, "AWS_ENDPOINT_URL", checkedEndpoint);
  const region = await resolve(options.region) ?? set(env.AWS_REGION) ??
    set(env.AWS_DEFAULT_REGION) ?? (endpoint === undefined ? undefined : "us-east-1");
  if (region !== undefined && !/^[a-z0-9-]+$/i.test(region)) {
    throw new BackupError("config/s3-region", `No region is called ${JSON.stringify(region)}`, {
      hint: "Correct the destination's region, or AWS_REGION: eu-central-1.",
    });
  }
  const credentials = await staticKeys(options, runtime) ??
    (profile === undefined && set(env.AWS_PROFILE) === undefined
      ? environmentKeys(runtime)
      : undefined);
  return {
    // Retrying is our own: it also holds for reads, and knows of lost answers.
    maxAttempts: 1,
    // Else bodies turn into aws-chunked ones with trailers, which many other stores refuse.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: fetchHandler,
    followRegionRedirects: true,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: options.forcePathStyle ?? endpoint !== undefined,
    ...(profile === undefined ? {} : { profile }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

async function staticKeys(options: S3Options, { secrets }: Runtime): Promise<Keys | undefined> {
  const { accessKeyId, secretAccessKey, sessionToken } = options;
  if (accessKeyId === undefined && secretAccessKey === undefined && sessionToken === undefined) {
    return undefined;
  }
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new BackupError(
      "config/s3-credentials",
      "An S3 destination has only a part of accessKeyId and secretAccessKey",
      { hint: "Set both, or neither and let the SDK find credentials." },
    );
  }
  const keys = {
    accessKeyId: checkedKey(await secrets.resolve(accessKeyId), "accessKeyId"),
    secretAccessKey: checkedKey(await secrets.resolve(secretAccessKey), "secretAccessKey"),
    ...(sessionToken === undefined ? {} : {
      sessionToken: checkedKey(await secrets.resolve(sessionToken), "sessionToken"),
    }),
  };
  secrets.hide(keys.secretAccessKey);
  return keys;
}

function environmentKeys({ env, secrets }: Runtime): Keys | undefined {
  const accessKeyId = variable(env, "AWS_ACCESS_KEY_ID", checkedKey);
  const secretAccessKey = variable(env, "AWS_SECRET_ACCESS_KEY", checkedKey);
  const sessionToken = variable(env, "AWS_SESSION_TOKEN", checkedKey);
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  secrets.hide(secretAccessKey);
  if (sessionToken !== undefined) secrets.hide(sessionToken);
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** A variable that is set, checked; the check is told its name. */
function variable(
  env: Environment,
  name: string,
  check: (value: string, name: string) => string,
): string | undefined {
  const value = set(env[name]);
  return value === undefined ? undefined : check(value, name);
}

function set(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}
