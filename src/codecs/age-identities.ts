import type { KeyAid, OtherIdentity } from "../contracts/codec.ts";
import { pluginIdentity, pluginOfIdentity } from "./age-plugin.ts";
import { sshIdentity } from "./age-ssh.ts";
import { isPrivateKey, parseSshPrivateKey } from "./ssh-private-key.ts";

/**
 * Makes an identity of a text that `parseIdentities` gave. Those of age's own stay texts.
 *
 * @param name of where it is from, for questions and messages
 */
export function openIdentity(text: string, name: string, aid: KeyAid): string | OtherIdentity {
  if (isPrivateKey(text)) return sshIdentity(parseSshPrivateKey(text, name), name, aid);
  const plugin = pluginOfIdentity(text);
  return plugin === undefined ? text : pluginIdentity(text, plugin, aid);
}
