import { Buffer } from "node:buffer";
import type { Codec, CodecParameters, Encryption, Keyring } from "../contracts/codec.ts";
import type { Bytes } from "../core/bytes.ts";
import { openHeader, readHeader, sealHeader } from "./age-header.ts";
import { nonceBytes, openPayload, sealPayload } from "./age-payload.ts";
import { truncated } from "./damage.ts";
import { openReader } from "./reader.ts";

/**
 * age (https://age-encryption.org/v1): for recipients of age, of SSH and of age's plugins, or for
 * whoever knows a passphrase.
 * Every file has a key of its own. The header is made by age-encryption; the payload, which is the
 * work, by the system's own cipher on other threads: see ./age-payload.ts.
 */
export const age: Codec = {
  id: "age",
  suffix: "age",
  // Asks for a passphrase on the terminal, whatever its standard input is.
  decodeCommand: ({ recipients }) =>
    recipients === undefined ? "age -d" : 'age -d -i "$AGE_IDENTITY"',
  open({ encryption, parameters = {}, keyring = noKeys }) {
    return {
      parameters: encryption === undefined ? parameters : parametersOf(encryption),
      encode: (bytes) => encode(bytes, encryption),
      decode: (bytes) => decode(bytes, parameters, keyring),
    };
  },
};

const noKeys: Keyring = {
  identities: () => Promise.resolve([]),
  passphrases: () => Promise.resolve([]),
};

function parametersOf(encryption: Encryption): CodecParameters {
  return "recipients" in encryption
    ? { recipients: [...encryption.recipients] }
    : { passphrase: true };
}

async function* encode(bytes: Bytes, encryption: Encryption | undefined): Bytes {
  if (encryption === undefined) throw new TypeError("age was opened without recipients");
  const { header, fileKey } = await sealHeader(encryption);
  const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes));
  let head: Uint8Array | undefined = Buffer.concat([header, nonce]);
  for await (const chunk of sealPayload(bytes, fileKey, nonce)) {
    if (head !== undefined) yield head;
    head = undefined;
    yield chunk;
  }
}

async function* decode(bytes: Bytes, parameters: CodecParameters, keyring: Keyring): Bytes {
  const reader = openReader(bytes);
  try {
    const fileKey = await openHeader(await readHeader(reader), parameters, keyring);
    const nonce = new Uint8Array(nonceBytes);
    if (await reader.fill(nonce) < nonceBytes) throw truncated("its header is cut", "encrypted");
    yield* openPayload(reader, fileKey, nonce);
  } finally {
    await reader.close();
  }
}
