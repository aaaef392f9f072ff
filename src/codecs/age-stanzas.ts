import { Buffer } from "node:buffer";
import type { Dialog } from "../core/dialog.ts";
import { base64 } from "./base64.ts";

// The lines that a plugin of age and its client exchange: stanzas, as in a file's header
// (https://age-encryption.org/v1, "Recipient stanza").

/** One message: a command with its arguments, and bytes. */
export interface Message {
  readonly args: readonly string[];
  readonly body: Uint8Array;
}

const lineLength = 64;

/** Sends a message. */
export function send(
  dialog: Dialog,
  args: readonly string[],
  body: Uint8Array | string = "",
): void {
  const text = base64(Buffer.from(body));
  const lines: string[] = text.match(/.{1,64}/g) ?? [];
  // The last line is a short one, if need be an empty one.
  if (lines.at(-1)?.length === lineLength || lines.length === 0) lines.push("");
  dialog.write(`-> ${args.join(" ")}\n${lines.join("\n")}\n`);
}

/**
 * Waits for the next message.
 *
 * @throws Error where the plugin ends, or writes what is none; as {@link Dialog.readLine}
 */
export async function receive(dialog: Dialog, o: { readonly limitMs: number }): Promise<Message> {
  const head = await line(dialog, o);
  const args = head.split(" ").slice(1);
  if (!head.startsWith("-> ") || args.some((arg) => arg === "")) {
    throw new Error("it wrote what is no message");
  }
  let body = "";
  while (true) {
    const part = await line(dialog, o);
    if (part.length > lineLength || !/^[A-Za-z0-9+/]*$/.test(part)) {
      throw new Error("it wrote a message that is not valid");
    }
    body += part;
    if (part.length < lineLength) {
      return { args, body: new Uint8Array(Buffer.from(body, "base64")) };
    }
  }
}

async function line(dialog: Dialog, o: { readonly limitMs: number }): Promise<string> {
  const line = await dialog.readLine(o);
  if (line === undefined) throw new Error("it ended too early");
  return line;
}

/** A message's bytes as text. */
export function textOf({ body }: Message): string {
  return Buffer.from(body).toString("utf8");
}
