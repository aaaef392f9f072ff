import type { Codec, Decoder, Keyring } from "../contracts/codec.ts";
import { BackupError } from "../core/errors.ts";
import { suggestion } from "../core/text.ts";
import { age } from "./age.ts";
import { gzip } from "./gzip.ts";
import { zstd } from "./zstd.ts";

/** Every built-in codec. `none` is the absence of one. */
export const codecs: readonly Codec[] = [gzip, zstd, age];

/**
 * The codec with this id.
 *
 * @throws BackupError `verification/unknown-codec`, as when a later dbbackup wrote the manifest
 */
export function findCodec(id: string): Codec {
  const codec = codecs.find((one) => one.id === id);
  if (codec !== undefined) return codec;
  throw new BackupError("verification/unknown-codec", `No codec "${id}" is known here`, {
    hint: `${suggestion(id, codecs.map((one) => one.id))} A newer dbbackup may know it.`,
  });
}

/** Opens the codecs of a manifest for decoding, with these keys; without any when undefined. */
export function decoderWith(keyring: Keyring | undefined): Decoder {
  return ({ id, parameters }) =>
    findCodec(id).open({
      ...(parameters === undefined ? {} : { parameters }),
      ...(keyring === undefined ? {} : { keyring }),
    });
}

const lackingKey = [
  ...["config/identity", "config/passphrase", "config/identity-locked"],
  ...["config/plugin", "config/plugin-missing"],
];

/** True for the error of a codec that no key opens; the bytes themselves may be whole. */
export function lacksKey(error: unknown): error is BackupError {
  return error instanceof BackupError && lackingKey.includes(error.code);
}
