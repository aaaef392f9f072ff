import type { Encryption, Keyring } from "../../src/contracts/codec.ts";
import { age } from "../../src/codecs/age.ts";
import type { Codec } from "../../src/contracts/codec.ts";

/** Two pairs of keys that open nothing but what tests encrypt. */
export const alice = {
  identity: "AGE-SECRET-KEY-1XTUL4JESHMCG75ZJ33LXSFHTWSPU3W3CN63VUG667HW5J98WSS0Q5XTGGY",
  recipient: "age1dde4d64x7maaag8rsn6vc3epk548fvqp3ppxm92zw7cc20u6gv0qvlk95e",
};
export const bob = {
  identity: "AGE-SECRET-KEY-1ZTJ5K54DHFUWXNHJHGTEDMS64TF7F65VTNLZMRG3Y7VU0QRDAQ3Q0H5DH7",
  recipient: "age1gu9pk02nyyxnet4ygd75azw65e3hchs06c0q958v3q26p7y6mpwqj55y6e",
};

/** A keyring that has these keys. */
export function keyring(keys: { identities?: string[]; passphrases?: string[] }): Keyring {
  return {
    identities: () => Promise.resolve(keys.identities ?? []),
    passphrases: () => Promise.resolve(keys.passphrases ?? []),
  };
}

/** age with keys of its own, whatever it is opened with: for tests of any codec. */
export function ageFor(encryption: Encryption, keys: Keyring): Codec {
  return {
    ...age,
    open(options) {
      const { parameters } = age.open({ encryption });
      return age.open({ parameters, ...options, encryption, keyring: keys });
    },
  };
}
