import { bech32 } from "@scure/base";
import type { Recipient, Stanza } from "age-encryption";
import { Buffer } from "node:buffer";
import type { KeyAid, OtherIdentity } from "../contracts/codec.ts";
import { type Dialog, openDialog } from "../core/dialog.ts";
import { BackupError, systemCode } from "../core/errors.ts";
import { findProgram } from "../core/program.ts";
import { type Message, receive, send, textOf } from "./age-stanzas.ts";

// Plugins of age (https://c2sp.org/age-plugin): a program age-plugin-NAME wraps and unwraps the keys
// of files, for hardware and the like. It never sees what is in them.

/** Long enough to find a key and touch it; the time in which somebody is asked does not count. */
const defaultLimitMs = 120_000;

/** The plugin that a recipient, `age1NAME1…`, is of; undefined for what is no such recipient. */
export function pluginOfRecipient(text: string): string | undefined {
  if (text !== text.toLowerCase()) return undefined;
  const prefix = bech32.decodeUnsafe(text, false)?.prefix;
  return nameIn(/^age1(.+)$/, prefix);
}

/** The plugin that an identity, `AGE-PLUGIN-NAME-1…`, is of; undefined for what is none. */
export function pluginOfIdentity(text: string): string | undefined {
  if (text !== text.toUpperCase()) return undefined;
  const prefix = bech32.decodeUnsafe(text.toLowerCase(), false)?.prefix;
  return nameIn(/^age-plugin-(.+)-$/, prefix);
}

/** It becomes a part of a program's name, so a path must not come of it. */
function nameIn(pattern: RegExp, prefix: string | undefined): string | undefined {
  const name = pattern.exec(prefix ?? "")?.[1];
  return name !== undefined && /^[a-z0-9+._-]+$/.test(name) ? name : undefined;
}

/** @throws BackupError `config/plugin-missing` unless the plugin is installed */
export async function assertPlugin(name: string, what: string, { runtime }: KeyAid): Promise<void> {
  const program = `age-plugin-${name}`;
  if (await findProgram(program, runtime.env) === undefined) throw missing(program, what);
}

/** Wraps the file key with a plugin. */
export function pluginRecipient(text: string, name: string, aid: KeyAid): Recipient {
  return {
    wrapFileKey: (fileKey) =>
      talk({ name, machine: "recipient-v1", what: `encrypt to ${text}`, aid }, async (dialog) => {
        const { Stanza } = await import("age-encryption");
        const stanzas: Stanza[] = [];
        send(dialog, ["add-recipient", text]);
        send(dialog, ["wrap-file-key"], fileKey);
        send(dialog, ["done"]);
        await listen(dialog, name, aid, ({ args: [command, index, ...args], body }) => {
          if (command !== "recipient-stanza" || index !== "0" || args.length === 0) return false;
          stanzas.push(new Stanza(args, body));
          return true;
        });
        if (stanzas.length === 0) throw new Error("it encrypted nothing");
        return stanzas;
      }),
  };
}

/** Unwraps the file key with a plugin. */
export function pluginIdentity(text: string, name: string, aid: KeyAid): OtherIdentity {
  return {
    recipient: `a key of age-plugin-${name}`,
    unwrapFileKey: (stanzas) =>
      talk({ name, machine: "identity-v1", what: "open the backup", aid }, async (dialog) => {
        let fileKey: Uint8Array | null = null;
        send(dialog, ["add-identity", text]);
        for (const { args, body } of stanzas) {
          send(dialog, ["recipient-stanza", "0", ...args], body);
        }
        send(dialog, ["done"]);
        await listen(dialog, name, aid, ({ args: [command, index], body }) => {
          if (command !== "file-key" || index !== "0" || body.byteLength !== 16) return false;
          fileKey = body;
          return true;
        });
        return fileKey;
      }),
  };
}

interface Talk {
  readonly name: string;
  readonly machine: "recipient-v1" | "identity-v1";
  /** What is to be done, after "to". */
  readonly what: string;
  readonly aid: KeyAid;
}

async function talk<T>({ name, machine, what, aid }: Talk, use: (dialog: Dialog) => Promise<T>) {
  const program = `age-plugin-${name}`;
  const { signal, runtime: { env, secrets } } = aid;
  signal.throwIfAborted();
  const dialog = openDialog({ command: program, args: [`--age-plugin=${machine}`], env }, {
    signal,
  });
  try {
    return await use(dialog);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BackupError) throw error;
    if (systemCode(error) === "ENOENT") throw missing(program, what);
    const why = error instanceof Error ? error.message : String(error);
    const said = secrets.redact(dialog.stderr());
    const detail = said === "" ? "" : `\n  ${said.replaceAll("\n", "\n  ")}`;
    throw new BackupError("config/plugin", `${program} cannot ${what}: ${why}${detail}`, {
      cause: error,
      hint: aid.ask === undefined
        ? "Is its key at hand? What asks for a PIN or a password has to run on a terminal."
        : "Is its key at hand? Try it by hand with `age`.",
    });
  } finally {
    await dialog.close();
  }
}

function missing(program: string, what: string): BackupError {
  return new BackupError("config/plugin-missing", `The program ${program} is not in PATH`, {
    hint: `Install it, to ${what}.`,
    details: { program },
  });
}

/**
 * Answers what the plugin says until it is done.
 *
 * @param take keeps what it was asked for; false for what it does not know
 */
async function listen(
  dialog: Dialog,
  name: string,
  aid: KeyAid,
  take: (message: Message) => boolean,
): Promise<void> {
  const limitMs = aid.pluginLimitMs ?? defaultLimitMs;
  const failures: string[] = [];
  while (true) {
    const message = await receive(dialog, { limitMs });
    const [command] = message.args;
    if (command === "done") break;
    if (command === "error") {
      failures.push(textOf(message));
      send(dialog, ["ok"]);
    } else if (take(message)) send(dialog, ["ok"]);
    else await answer(message, { dialog, name, aid });
  }
  if (failures.length > 0) throw new Error(failures.join("; "));
}

/** What a plugin may want of the one who sits before the terminal. */
async function answer(
  message: Message,
  { dialog, name, aid: { ask, tell, runtime } }: {
    readonly dialog: Dialog;
    readonly name: string;
    readonly aid: KeyAid;
  },
): Promise<void> {
  const [command, ...args] = message.args;
  const text = `age-plugin-${name}: ${textOf(message)}`;
  if (command === "msg") {
    tell(text);
    return send(dialog, ["ok"]);
  }
  const isQuestion = command === "confirm" || command === "request-public" ||
    command === "request-secret";
  if (!isQuestion) return send(dialog, ["unsupported"]);
  if (ask === undefined) return send(dialog, ["fail"]);
  if (command !== "confirm") {
    const isHidden = command === "request-secret";
    const answer = await ask(`${text} `, { isHidden });
    if (isHidden) runtime.secrets.hide(answer);
    return send(dialog, ["ok"], answer);
  }
  const [yes = "yes", no] = args.map((word) => Buffer.from(word, "base64").toString("utf8"));
  const choices = no === undefined ? `[Enter: ${yes}]` : `[1: ${yes}, 2: ${no}]`;
  const answer = (await ask(`${text} ${choices} `, { isHidden: false })).trim();
  const isYes = no === undefined || answer === "1" || answer.toLowerCase() === yes.toLowerCase();
  send(dialog, ["ok", isYes ? "yes" : "no"]);
}
