/**
 * A URL without its password, for messages, also when it is none that can be read: everything
 * between the user's colon and the last `@` goes, and after a colon what is no port.
 */
export function safeUrl(url: string): string {
  return url.replace(userAndPassword, "$1:[redacted]@").replace(noPort, "$1:[redacted]")
    .replace(secretParameter, "$1[redacted]");
}

/** A URL that still works where its secrets are asked for, or come from elsewhere: they are cut out. */
export function urlWithoutSecrets(url: string): string {
  const [place, query] = splitOnce(url.replace(passwordPart, "$1@"), "?");
  if (query === undefined) return place!;
  const kept = query.split("&").filter((part) =>
    !/(?:password|secret|token|key)[^=]*=/i.test(part)
  );
  return kept.length === 0 ? place! : `${place}?${kept.join("&")}`;
}

const passwordPart = /^([a-z][a-z0-9+.-]*:\/\/[^:@/?]*):[^/?]*@/i;
const userAndPassword = /^([a-z][a-z0-9+.-]*:\/\/[^:@/?]*|(?![a-z][a-z0-9+.-]*:\/\/)[^\s:]+):.*@/is;
const noPort = /^([a-z][a-z0-9+.-]*:\/\/[^:@/?[]*):(?!\d+(?:[,/?]|$)|\[redacted\]).+/is;
const secretParameter = /([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*/gi;

/** Parts before and after the first separator; the second is undefined where there is none. */
export function splitOnce(
  text: string | undefined,
  separator: string,
): [string | undefined, string | undefined] {
  if (text === undefined) return [undefined, undefined];
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
