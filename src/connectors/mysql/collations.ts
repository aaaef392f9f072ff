import type { Abortable } from "../../core/bytes.ts";
import type { Client } from "./client.ts";

/** The collations that a server knows, by their full names: `utf8mb4_uca1400_ai_ci`. */
export async function listCollations(client: Client, o: Abortable): Promise<Set<string>> {
  const rows = await client.query(
    "SELECT * FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY",
    o,
  );
  // Since 10.10, MariaDB's own name leaves out the character set that a collation fits to.
  return new Set(rows.map((row) => String(row["FULL_COLLATION_NAME"] ?? row["COLLATION_NAME"])));
}

/** MySQL's languages in MariaDB's words, https://mariadb.com/kb/en/supported-character-sets-and-collations/ */
const languages: Readonly<Record<string, string>> = {
  bs: "croatian",
  cs: "czech",
  da: "danish",
  de_pb: "german2",
  eo: "esperanto",
  es: "spanish",
  es_trad: "spanish2",
  et: "estonian",
  hr: "croatian",
  hu: "hungarian",
  is: "icelandic",
  la: "roman",
  lt: "lithuanian",
  lv: "latvian",
  nb: "danish",
  pl: "polish",
  ro: "romanian",
  sk: "slovak",
  sl: "slovenian",
  sr_latn: "croatian",
  sv: "swedish",
  tr: "turkish",
  vi: "vietnamese",
};

/**
 * The collation of a server that sorts and compares most like one that it does not know: of the
 * same language, else of none, and rather one that tells more apart, so that no unique key breaks
 * that need not. Undefined where there is nothing near.
 *
 * @param name in full
 */
export function nearestCollation(name: string, known: ReadonlySet<string>): string | undefined {
  return candidates(name).find((candidate) => known.has(candidate));
}

function candidates(name: string): string[] {
  const [, charset = "", rest = ""] = /^([a-z0-9]+)_(.+)$/.exec(name) ?? [];
  if (charset === "gb18030") {
    return rest === "bin"
      ? ["utf8mb4_nopad_bin", "utf8mb4_bin"]
      : ["utf8mb4_uca1400_ai_ci", "utf8mb4_unicode_520_ci", "utf8mb4_unicode_ci"];
  }
  if (rest === "0900_bin") return [`${charset}_nopad_bin`, `${charset}_bin`];
  if (rest === "nopad_bin") return [`${charset}_0900_bin`, `${charset}_bin`];
  const ofMysql = /^(?:(\w+)_)?0900_(a[is])_(c[is])(?:_ks)?$/.exec(rest);
  if (ofMysql !== null) {
    const [, language = "", accents = "", cases = ""] = ofMysql;
    const word = languages[language];
    const weak = `${accents}_${cases}`;
    return [
      ...word === undefined ? [] : [`${charset}_uca1400_${word}_nopad_${weak}`],
      `${charset}_uca1400_nopad_${weak}`,
      ...weak === "ai_ci"
        ? [`${charset}_unicode_520_nopad_ci`, `${charset}_unicode_520_ci`]
        : [`${charset}_nopad_bin`, `${charset}_bin`],
    ];
  }
  const ofMariadb = /^uca1400_(?:(\w+?)_)?(?:nopad_)?(a[is])_(c[is])$/.exec(rest);
  if (ofMariadb !== null) {
    const [, word, accents = "", cases = ""] = ofMariadb;
    const language = Object.keys(languages).find((one) => languages[one] === word);
    // MySQL has no collation for upper and lower case alone.
    const weak = cases === "cs" ? "as_cs" : `${accents}_ci`;
    return [
      ...language === undefined ? [] : [`${charset}_${language}_0900_${weak}`],
      `${charset}_0900_${weak}`,
      ...cases === "cs" ? [`${charset}_bin`] : [],
      `${charset}_unicode_520_ci`,
      `${charset}_general_ci`,
    ];
  }
  return [
    rest.replace(/nopad_/, "") === rest ? "" : `${charset}_${rest.replace(/nopad_/, "")}`,
    `${charset}_unicode_520_ci`,
    `${charset}_unicode_ci`,
    `${charset}_general_ci`,
  ];
}
