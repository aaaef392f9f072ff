/**
 * Fails when an import points against the direction of the design:
 *
 *   core ← contracts ← catalog, connectors, storage, codecs, strategies, notifiers ← kinds
 *        ← registry ← config ← jobs ← scheduler ← mod ← cli ← main
 *
 * Siblings never import each other: neither the folders of one layer, nor two kinds of connector. No
 * files import each other in a circle, not even types.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const layers: readonly (readonly string[])[] = [
  ["core"],
  ["contracts"],
  ["catalog", "connectors", "storage", "codecs", "strategies", "notifiers"],
  // What is built in, by a line each.
  ["kinds"],
  ["registry"],
  ["config"],
  ["jobs"],
  ["scheduler"],
  // What plugins and configs import: it gathers, so it sits above what it gathers.
  ["mod"],
  ["cli"],
  ["main"],
];
const imports = new Map(sourceFiles().map((file) => [file, importsOf(file)]));
const problems = [...[...imports.keys()].flatMap(check), ...circles()];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log("imports point one way");

function sourceFiles(): string[] {
  const all = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join("src", name));
  return [...all, "main.ts"];
}

/** The files of this program that a file imports. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(root, file), "utf8");
  const found = source.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
  return [...found].map((match) => relative(root, join(root, dirname(file), match[1]!)))
    .filter((target) => target.startsWith("src"));
}

function check(file: string): string[] {
  return imports.get(file)!.flatMap((target) => {
    const problem = forbidden(file, target);
    return problem === undefined ? [] : [`${file} imports ${target}: ${problem}`];
  });
}

/** Each circle of files once, as the path around it. */
function circles(): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];

  function visit(file: string): void {
    if (done.has(file)) return;
    const start = path.indexOf(file);
    if (start >= 0) {
      found.push(`a circle: ${[...path.slice(start), file].join(" -> ")}`);
      return;
    }
    path.push(file);
    for (const target of imports.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  }

  for (const file of imports.keys()) visit(file);
  return found;
}

function forbidden(from: string, to: string): string | undefined {
  const [fromLayer, toLayer] = [layerOf(from), layerOf(to)];
  if (unitOf(from) === unitOf(to)) return undefined;
  if (fromLayer.index < toLayer.index) return `${fromLayer.name} may not know ${toLayer.name}`;
  if (fromLayer.index > toLayer.index) return undefined;
  // Helpers that several kinds share lie directly in their layer's folder.
  if (fromLayer.name === toLayer.name && to.split("/").length === 3) return undefined;
  // A layer's own index (src/codecs/mod.ts) names all its kinds.
  if (fromLayer.name === toLayer.name && from.split("/").length === 3) return undefined;
  return "siblings do not import each other";
}

function layerOf(file: string): { name: string; index: number } {
  const name = file === "main.ts" ? "main" : file.split("/")[1]!.replace(/\.ts$/, "");
  const index = layers.findIndex((layer) => layer.includes(name));
  if (index < 0) throw new Error(`${file}: no layer is defined for "${name}"`);
  return { name, index };
}

/** Files of one unit may import each other freely: a layer, or one kind within a layer. */
function unitOf(file: string): string {
  const [, layer, kind, ...rest] = file.split("/");
  const hasKinds = ["connectors", "storage"].includes(layer ?? "");
  return hasKinds && rest.length > 0 ? `${layer}/${kind}` : layer ?? file;
}
