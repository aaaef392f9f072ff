/**
 * Compiles `dbbackup`.
 *
 *   bun scripts/build.ts --this     dist/dbbackup for this machine
 *   bun scripts/build.ts            dist/dbbackup-TARGET for every target, and dist/SHA256SUMS
 *
 * The base binary of each foreign target is the npm package of the very Bun version that runs this.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { declaration } from "./declaration/declaration.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
const bases = join(root, ".tools", "bases");
const bun = process.execPath;

interface Target {
  /** As in the file's name. */
  readonly name: string;
  /** Bun's name of the compile target. */
  readonly target: Bun.Build.CompileTarget;
  /** The npm package that carries the base binary. */
  readonly base: string;
}

// Baseline builds on x64: servers are often virtual machines without AVX2.
const targets: readonly Target[] = [
  { name: "linux-x64", target: "bun-linux-x64-baseline", base: "bun-linux-x64-baseline" },
  { name: "linux-arm64", target: "bun-linux-arm64", base: "bun-linux-aarch64" },
  {
    name: "linux-x64-musl",
    target: "bun-linux-x64-baseline-musl",
    base: "bun-linux-x64-baseline-musl",
  },
  { name: "linux-arm64-musl", target: "bun-linux-arm64-musl", base: "bun-linux-aarch64-musl" },
  { name: "darwin-x64", target: "bun-darwin-x64-baseline", base: "bun-darwin-x64-baseline" },
  { name: "darwin-arm64", target: "bun-darwin-arm64", base: "bun-darwin-aarch64" },
  { name: "windows-x64", target: "bun-windows-x64-baseline", base: "bun-windows-x64-baseline" },
];

mkdirSync(dist, { recursive: true });
const declared = await declaration();
if (process.argv.includes("--this")) {
  await compile(join(dist, "dbbackup"));
  console.log("built dist/dbbackup");
} else {
  await buildAll();
}

async function buildAll(): Promise<void> {
  const sums: string[] = [];
  const missing: string[] = [];
  for (const target of targets) {
    const executablePath = fetchBase(target);
    if (executablePath === undefined) {
      missing.push(target.name);
      continue;
    }
    const file = `dbbackup-${target.name}${target.name.startsWith("windows") ? ".exe" : ""}`;
    await compile(join(dist, file), { target: target.target, executablePath });
    sums.push(`${await sha256(join(dist, file))}  ${file}`);
    console.log(`built dist/${file}`);
  }
  writeFileSync(join(dist, "SHA256SUMS"), sums.map((line) => `${line}\n`).join(""));
  console.log(`wrote dist/SHA256SUMS (${sums.length} files)`);
  if (missing.length > 0) {
    console.error(`no base binary could be had for: ${missing.join(", ")}`);
    process.exitCode = 1;
  }
}

/** @param base what to put it on: another target, and the path of its base binary */
async function compile(
  outfile: string,
  base?: { readonly target: Bun.Build.CompileTarget; readonly executablePath: string },
): Promise<void> {
  // Written under another name first: a running dist/dbbackup cannot be overwritten.
  const fresh = join(dist, `.fresh-${process.pid}${outfile.endsWith(".exe") ? ".exe" : ""}`);
  await Bun.build({
    entrypoints: [join(root, "main.ts")],
    minify: true,
    bytecode: true,
    // What a command does not import is not even read: half the start-up time and 15 MB less memory.
    splitting: true,
    format: "esm",
    define: { builtDeclaration: JSON.stringify(declared) },
    compile: {
      outfile: fresh,
      // Both default to on and would read files of the folder that the user happens to be in.
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...base,
    },
  });
  renameSync(fresh, outfile);
}

/** The base binary's path, from the npm package; undefined when it cannot be had. */
function fetchBase(target: Target): string | undefined {
  const version = execFileSync(bun, ["--version"], { encoding: "utf8" }).trim();
  const folder = join(bases, `${target.base}-${version}`);
  const binary = join(
    folder,
    "package",
    "bin",
    target.base.includes("windows") ? "bun.exe" : "bun",
  );
  if (existsSync(binary)) return binary;
  try {
    mkdirSync(folder, { recursive: true });
    const packed = execFileSync("npm", ["pack", "--silent", `@oven/${target.base}@${version}`], {
      cwd: folder,
      encoding: "utf8",
    }).trim().split("\n").at(-1)!;
    execFileSync("tar", ["-xzf", packed], { cwd: folder });
    rmSync(join(folder, packed));
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
