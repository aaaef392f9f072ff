import { safeUrl } from "../core/url.ts";
import { BackupError } from "../core/errors.ts";
import { nearest } from "../core/text.ts";

/** The parts of a cloud destination's URL. */
export interface StorageUrl {
  readonly host: string;
  /** Without slashes at its ends, decoded. */
  readonly path: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Takes `scheme://HOST/PATH?NAME=VALUE` apart.
 *
 * @param o `form`: how it should look, for the hint; `parameters`: the names that it may have
 * @throws BackupError `usage/bad-url`
 */
export function readUrl(
  url: string,
  o: { readonly form: string; readonly parameters: readonly string[] },
): StorageUrl {
  const form = `Write ${o.form}` +
    (o.parameters.length === 0 ? "." : `, with any of ${o.parameters.join(", ")} behind a "?".`);
  let meant: string | undefined;
  try {
    const { username, password, search } = new URL(url);
    // The URL's own host is in lower case, and empty where a port seems to be wrong.
    const [, host = "", path = ""] = /^[^:]+:\/\/([^/?#]+)([^?#]*)/.exec(url) ?? [];
    const parameters: Record<string, string> = {};
    for (const [name, value] of new URLSearchParams(search)) {
      if (!o.parameters.includes(name)) meant ??= nearest(name, o.parameters);
      if (!o.parameters.includes(name) || value === "" || name in parameters) throw undefined;
      parameters[name] = value;
    }
    if (host === "" || username !== "" || password !== "") throw undefined;
    return {
      host: decodeURIComponent(host),
      path: decodeURIComponent(path).replace(/^\/+|\/+$/g, ""),
      parameters,
    };
  } catch (cause) {
    throw new BackupError("usage/bad-url", `Cannot read the destination "${safeUrl(url)}"`, {
      cause,
      hint: meant === undefined ? form : `Did you mean "${meant}"? ${form}`,
    });
  }
}
