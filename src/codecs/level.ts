import { BackupError } from "../core/errors.ts";

/** @throws BackupError `config/compression-level` unless the level is a whole number in the range */
export function checkedLevel(codec: string, level: number, from: number, to: number): number {
  if (Number.isInteger(level) && level >= from && level <= to) return level;
  throw new BackupError("config/compression-level", `${codec} has no compression level ${level}`, {
    hint: `Use a whole number from ${from} to ${to}.`,
  });
}
