import { createHash, createHmac } from "node:crypto";

/** What is signed of a request. */
export interface Unsigned {
  readonly method: string;
  /** As it is sent: encoded once. */
  readonly path: string;
  /** The parameters, encoded, sorted and joined by "&". */
  readonly query: string;
  /** All that are signed, by their names in small letters; `host` and `x-amz-date` among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly bodySha256: string;
}

/** For what a signature holds: the day of `x-amz-date`, and one service of one region. */
export interface Scope {
  /** `20261123`. */
  readonly day: string;
  readonly region: string;
  readonly service: string;
}

/** Keys as the SDK finds them. */
export interface SigningKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/**
 * The `authorization` header of a request.
 *
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function authorizationOf(request: Unsigned, scope: Scope, keys: SigningKeys): string {
  const names = Object.keys(request.headers).sort();
  const headers = names.map((name) => `${name}:${request.headers[name]!.trim()}\n`).join("");
  const signedHeaders = names.join(";");
  const canonical = [
    request.method,
    request.path,
    request.query,
    headers,
    signedHeaders,
    request.bodySha256,
  ].join("\n");
  const place = `${scope.day}/${scope.region}/${scope.service}/aws4_request`;
  const text = [
    algorithm,
    request.headers["x-amz-date"]!,
    place,
    createHash("sha256").update(canonical).digest("hex"),
  ].join("\n");
  const signature = createHmac("sha256", keyOf(scope, keys)).update(text).digest("hex");
  return `${algorithm} Credential=${keys.accessKeyId}/${place}, ` +
    `SignedHeaders=${signedHeaders}, Signature=${signature}`;
}

/** What an `authorization` header says; undefined for one of another algorithm. */
export function readAuthorization(
  header: string,
): { readonly scope: Scope; readonly signedHeaders: readonly string[] } | undefined {
  const [, day, region, service, signedHeaders] = pattern.exec(header) ?? [];
  if (day === undefined || region === undefined || service === undefined) return undefined;
  return { scope: { day, region, service }, signedHeaders: signedHeaders!.split(";") };
}

const algorithm = "AWS4-HMAC-SHA256";
const pattern =
  /^AWS4-HMAC-SHA256 Credential=[^,]+\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=[0-9a-f]{64}$/;

function keyOf({ day, region, service }: Scope, { secretAccessKey }: SigningKeys): Uint8Array {
  return [day, region, service, "aws4_request"].reduce<Uint8Array>(
    (key, part) => createHmac("sha256", key).update(part).digest(),
    new TextEncoder().encode(`AWS4${secretAccessKey}`),
  );
}
