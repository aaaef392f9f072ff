import { bech32 } from "@scure/base";
import { Buffer } from "node:buffer";
import { createInterface } from "node:readline";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

// A plugin of age by its specification (https://c2sp.org/age-plugin). It hides the file's key behind
// one byte, which is no secret, and does what MODE in its environment says.

/** How it behaves: answers well, asks first, or fails in one of the ways that there are. */
export type Mode = "plain" | "asks" | "refuses" | "silent" | "crashes" | "garbles";

/** The plugin's keys: the same byte in both halves. */
export const pluginRecipient = bech32.encodeFromBytes("age1dbtest", new Uint8Array([7]));
/** See {@link pluginRecipient}. */
export const pluginIdentity = bech32.encodeFromBytes("age-plugin-dbtest-", new Uint8Array([7]))
  .toUpperCase();

/**
 * Puts `age-plugin-dbtest` into a folder for PATH.
 *
 * @returns the folder
 */
export function installPlugin(parent: string, mode: Mode = "plain"): string {
  const folder = join(parent, `plugin-${mode}`);
  mkdirSync(folder, { recursive: true });
  const program = join(folder, "age-plugin-dbtest");
  const self = fileURLToPath(import.meta.url);
  writeFileSync(program, `#!/bin/sh\nMODE=${mode} exec "${process.execPath}" "${self}" "$@"\n`);
  chmodSync(program, 0o755);
  return folder;
}

interface Message {
  readonly args: string[];
  readonly body: Buffer;
}

async function main(machine: string, mode: Mode): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const line = async () => String((await lines.next()).value ?? "");
  const receive = async (): Promise<Message> => {
    const args = (await line()).slice("-> ".length).split(" ");
    let text = "";
    for (let part = await line();; part = await line()) {
      text += part;
      if (part.length < 64) return { args, body: Buffer.from(text, "base64") };
    }
  };
  const say = async (args: readonly string[], body: Uint8Array | string = ""): Promise<Message> => {
    const text = Buffer.from(body).toString("base64").replaceAll("=", "");
    const parts = text.match(/.{1,64}/g) ?? [];
    const last = parts.at(-1)?.length === 64 || parts.length === 0 ? "\n" : "";
    process.stdout.write(`-> ${args.join(" ")}\n${parts.map((p) => `${p}\n`).join("")}${last}`);
    return await receive();
  };

  const given: Message[] = [];
  for (let one = await receive(); one.args[0] !== "done"; one = await receive()) given.push(one);
  if (mode === "silent") return await new Promise(() => setInterval(() => {}, 1000));
  if (mode === "crashes") {
    process.stderr.write("no card in the reader\n");
    return process.exit(3);
  }
  if (mode === "garbles") {
    process.stdout.write("hello\n");
    return;
  }
  // What a client does not know, it says so, and the plugin goes on.
  await say(["grease-x", "a"], Buffer.alloc(96, 1));
  await say(["msg"], "touch the key");
  if (mode === "asks") {
    const pin = await say(["request-secret"], "PIN?");
    if (pin.args[0] !== "ok" || pin.body.toString() !== "1234") {
      await say(["error", "internal"], "the PIN is wrong");
      process.stdout.write("-> done\n\n");
      return;
    }
    const words = ["go on", "stop"].map((w) =>
      Buffer.from(w).toString("base64").replaceAll("=", "")
    );
    const sure = await say(["confirm", ...words], "use the key?");
    if (sure.args.join() !== "ok,yes") process.exit(1);
  }
  if (mode === "refuses") await say(["error", "internal"], "the key is locked");
  else if (machine === "recipient-v1") {
    const fileKey = given.find(({ args }) => args[0] === "wrap-file-key")!.body;
    await say(["recipient-stanza", "0", "dbtest", "x"], fileKey.map((byte) => byte ^ 7));
  } else {
    for (const { args: [command, file, type], body } of given) {
      if (command !== "recipient-stanza" || type !== "dbtest") continue;
      await say(["file-key", file!], body.map((byte) => byte ^ 7));
    }
  }
  process.stdout.write("-> done\n\n");
}

if (process.argv[2]?.startsWith("--age-plugin=") && process.env["MODE"] !== undefined) {
  await main(process.argv[2].slice("--age-plugin=".length), process.env["MODE"] as Mode);
  process.exit(0);
}
