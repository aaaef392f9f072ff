import { gzip } from "../../src/codecs/gzip.ts";
import { zstd } from "../../src/codecs/zstd.ts";
import { codecContract } from "../contracts/codec.ts";
import { ageFor, alice, bob, keyring } from "./keys.ts";

codecContract("gzip", () => gzip);
codecContract("zstd", () => zstd);
codecContract(
  "age to recipients",
  () => {
    const recipients = [bob.recipient, alice.recipient];
    return ageFor({ recipients }, keyring({ identities: [alice.identity] }));
  },
  { isSealed: true },
);
