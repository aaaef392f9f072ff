import { quoteName } from "./client.ts";

/** Whether a text names a database in front of something of it: `db.` or `` `db`. ``. */
export function mentions(text: string, database: string): boolean {
  const word = database.replaceAll(/[\\^$.|?+()[\]{}*]/g, "\\$&");
  return text.includes(`${quoteName(database)}.`) ||
    new RegExp(`(?<![\\w$\`.@])${word}\\s*\\.\\s*[\\w\`$]`, "iu").test(text);
}
