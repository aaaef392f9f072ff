import { BackupError } from "../core/errors.ts";

/**
 * An endpoint as URL, without slashes at its end.
 *
 * @param option its name in the config
 * @throws BackupError `config/bad-endpoint`
 */
export function checkedEndpoint(text: string, option: string): string {
  const fail = (why: string, hint: string): never => {
    throw new BackupError(
      "config/bad-endpoint",
      `Cannot use the ${option} ${shown(text)}: ${why}`,
      {
        hint,
      },
    );
  };
  if (!/^https?:\/\//i.test(text)) {
    fail(
      "it does not begin with https://",
      `Write the whole URL, such as "https://${bare(text)}".`,
    );
  }
  if (/\s/.test(text) || !URL.canParse(text)) fail("it is no URL", 'Write "https://HOST:PORT".');
  const { username, password, search, hash } = new URL(text);
  if (username !== "" || password !== "") {
    fail("it has a user or a password", "Leave them out; keys have options of their own.");
  }
  if (search !== "" || hash !== "") fail('it goes on after a "?" or "#"', "Leave that out.");
  return text.replace(/\/+$/, "");
}

/**
 * A key, token or other word that goes into headers.
 *
 * @throws BackupError `config/bad-credentials` that tells no part of it
 */
export function checkedKey(text: string, option: string): string {
  const bad = /[^\x21-\x7e]/.exec(text);
  if (bad === null) return text;
  const isAtEnd = text.slice(bad.index).trim() === "";
  const what = /[\r\n]/.test(bad[0])
    ? "a line feed"
    : /\s/.test(bad[0])
    ? "a space"
    : "a character that no key has";
  throw new BackupError(
    "config/bad-credentials",
    `The ${option} has ${what}${isAtEnd ? " at its end" : bad.index === 0 ? " at its start" : ""}`,
    { hint: "Copy it again; of a file, `file(…)` drops one line feed at the end by itself." },
  );
}

/**
 * The name of a bucket or container, as far as all stores agree: what is only a matter of length or
 * of small letters is for the store to say.
 *
 * @throws BackupError `config/bad-bucket`
 */
export function checkedBucket(name: string, option: string): string {
  if (/^[a-z0-9$][a-z0-9._-]*$/i.test(name) && name.length <= 255) return name;
  throw new BackupError("config/bad-bucket", `No ${option} is called ${shown(name)}`, {
    hint: name.includes("/")
      ? `Write the ${option} alone; what follows the "/" is the prefix.`
      : "Correct the name: small letters, digits, dots and hyphens.",
  });
}

function bare(text: string): string {
  return text.replace(/^[a-z]*:?\/*/i, (start) => start.includes("/") ? "" : start)
    .replace(/^.*@/, "").trim();
}

/** Whatever stands before an "@" may be a password. */
function shown(text: string): string {
  return JSON.stringify(text.replace(/[^/]*@/, "…@"));
}
