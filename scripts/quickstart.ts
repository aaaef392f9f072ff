/** The second half of `./scripts/quickstart`: a backup and a restore, as a user types them. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const binary = join(root, "dist", "dbbackup");
const folder = mkdtempSync(join(tmpdir(), "dbbackup-quickstart-"));
const rows = 200_000;

try {
  makeShop(join(folder, "shop.db"));
  const before = fingerprint(join(folder, "shop.db"));
  const size = (statSync(join(folder, "shop.db")).size / 1024 / 1024).toFixed(1);
  say(`Made shop.db: ${rows.toLocaleString("en")} orders, ${size} MiB.`);

  dbbackup("backup", "--from", "sqlite:shop.db", "--to", "./backups");
  dbbackup("list", "--from", "./backups");

  damage(join(folder, "shop.db"));
  say("Damaged shop.db: 64 KiB in its middle are overwritten with noise.");

  dbbackup("restore", "--from", "./backups", "--to", "sqlite:shop.db", "--overwrite", "--yes");
  if (fingerprint(join(folder, "shop.db")) !== before) {
    throw new Error("The restored database differs from the original.");
  }
  say(`Compared all ${rows.toLocaleString("en")} orders: the restored database is the original.`);
  say(`The binary is dist/dbbackup. Next: dist/dbbackup --help, or README.md.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function say(line: string): void {
  console.log(`\n${line}`);
}

function dbbackup(...args: string[]): void {
  say(`$ dbbackup ${args.join(" ")}`);
  const env = { ...process.env, XDG_STATE_HOME: join(folder, "state") };
  execFileSync(binary, args, { cwd: folder, env, stdio: ["ignore", "inherit", "inherit"] });
}

function makeShop(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, cents INTEGER, note TEXT);
    CREATE INDEX orders_by_customer ON orders (customer);
    BEGIN;
  `);
  const insert = database.prepare("INSERT INTO orders (customer, cents, note) VALUES (?, ?, ?)");
  for (let row = 0; row < rows; row++) {
    const digest = createHash("sha256").update(String(row)).digest("hex");
    insert.run(`customer-${row % 5000}`, (row * 7919) % 100_000, digest.repeat(2));
  }
  database.exec("COMMIT");
  database.close();
}

function fingerprint(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true });
  const hash = createHash("sha256");
  for (const row of database.prepare("SELECT * FROM orders ORDER BY id").iterate()) {
    hash.update(JSON.stringify(row));
  }
  database.close();
  return hash.digest("hex");
}

function damage(path: string): void {
  const noise = createHash("sha512").update("noise").digest();
  const handle = openSync(path, "r+");
  const middle = Math.floor(statSync(path).size / 2);
  for (let offset = 0; offset < 65_536; offset += noise.length) {
    writeSync(handle, noise, 0, noise.length, middle + offset);
  }
  closeSync(handle);
}
