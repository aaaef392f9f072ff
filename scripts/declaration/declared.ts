import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import { z } from "zod";

/** A name in a file, declared there or only passed on. */
export interface Place {
  readonly file: string;
  readonly name: string;
}

/** Something that a file declares. */
export interface Declared extends Place {
  /** True where it is nothing but a type. */
  readonly isType: boolean;
  /** As TypeScript writes it for others, with its doc comment. */
  readonly text: string;
  /** The names that its text uses. */
  readonly needs: readonly Place[];
  /** The schema that it is the type of, for what is the type of one. */
  readonly schema?: DeclaredSchema;
  /** What it is when the program runs, for constants. */
  readonly value?: unknown;
}

/** A type that is made of a schema. */
export interface DeclaredSchema {
  readonly value: z.ZodType;
  /** Whether its members are `readonly`, and the names in it those of a config: `WithNames`. */
  readonly isReadonly: boolean;
  /** Its type parameters: `<D extends string>`, or nothing. */
  readonly parameters: string;
  /** What stands for the names that a config declares. */
  readonly sections: Readonly<Record<string, string>>;
  /** The doc comments inside the schema's source, by dotted paths. */
  readonly docs: ReadonlyMap<string, string>;
}

/** A name that a module exports. */
export interface Export extends Place {
  /** True where only its type is exported, though it may be a value, too. */
  readonly isType: boolean;
}

/** What a module exports, in its order; what it passes on from packages is left out. */
export function exportsOf(file: string, isType = false): Export[] {
  return moduleOf(file).statements.flatMap((statement): Export[] => {
    if (!ts.isExportDeclaration(statement)) {
      return isExported(statement)
        ? namesOf(statement).map((name) => ({ file, name, isType }))
        : [];
    }
    const from = importedFile(file, statement.moduleSpecifier);
    if (from === undefined) return [];
    const { exportClause } = statement;
    const isTypes = isType || statement.isTypeOnly;
    if (exportClause === undefined || !ts.isNamedExports(exportClause)) {
      return exportsOf(from, isTypes);
    }
    return exportClause.elements.map(({ name }) => ({ file, name: name.text, isType: isTypes }));
  });
}

/**
 * The declaration behind a name.
 *
 * @throws Error for the types of packages: what "dbbackup" exports stands alone
 */
export async function declaredIn({ file, name }: Place): Promise<Declared> {
  const { statements, passedOn } = moduleOf(file);
  const nodes = statements.filter((one) =>
    !ts.isExportDeclaration(one) && namesOf(one).includes(name)
  );
  const [node] = nodes;
  if (node === undefined) {
    const place = passedOn.get(name);
    if (place === undefined) throw new Error(`${file} has ${name} from a package`);
    return await declaredIn(place);
  }
  const text = reindented(nodes.map((one) => one.getFullText().trim()).join("\n"));
  const schema = await schemaOf(file, node);
  const isType = ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
  if (schema !== undefined) return { file, name, isType, text, needs: [], schema };
  const value = ts.isVariableStatement(node) ? await valueOf({ file, name }) : undefined;
  return { file, name, isType, text, needs: nodes.flatMap((one) => neededBy(one, file)), value };
}

interface Module {
  /** As TypeScript declares them for others. */
  readonly statements: readonly ts.Statement[];
  /** What it imports, and exports of others; nothing of packages. */
  readonly passedOn: ReadonlyMap<string, Place>;
}

const modules = new Map<string, Module>();

function moduleOf(file: string): Module {
  const known = modules.get(file);
  if (known !== undefined) return known;
  const { outputText } = ts.transpileDeclaration(readFileSync(file, "utf8"), {
    fileName: file,
    compilerOptions: { strict: true, target: ts.ScriptTarget.ESNext },
  });
  const { statements } = parsed(file.replace(/\.ts$/, ".d.ts"), outputText);
  const passedOn = new Map<string, Place>();
  for (const statement of statements) {
    const isImport = ts.isImportDeclaration(statement);
    if (!isImport && !ts.isExportDeclaration(statement)) continue;
    const from = importedFile(file, statement.moduleSpecifier);
    const clause = isImport ? statement.importClause?.namedBindings : statement.exportClause;
    if (from === undefined || clause === undefined || !("elements" in clause)) continue;
    for (const { name, propertyName } of clause.elements) {
      passedOn.set(name.text, { file: from, name: (propertyName ?? name).text });
    }
  }
  const module = { statements, passedOn };
  modules.set(file, module);
  return module;
}

function parsed(name: string, text: string): ts.SourceFile {
  return ts.createSourceFile(name, text, ts.ScriptTarget.ESNext, true);
}

/** The file that a relative import leads to. */
function importedFile(file: string, specifier: ts.Expression | undefined): string | undefined {
  if (specifier === undefined || !ts.isStringLiteral(specifier)) return undefined;
  return specifier.text.startsWith(".") ? resolve(dirname(file), specifier.text) : undefined;
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  const isNamed = ts.isInterfaceDeclaration(statement) || ts.isClassDeclaration(statement) ||
    ts.isFunctionDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
  return isNamed && statement.name !== undefined ? [statement.name.text] : [];
}

function isExported(statement: ts.Statement): boolean {
  return ts.canHaveModifiers(statement) &&
    ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
}

/** The names of the file, or of those that it imports from, in the types below a node. */
function neededBy(node: ts.Node, file: string): Place[] {
  const { statements, passedOn } = moduleOf(file);
  const own = new Set(statements.flatMap(namesOf));
  return below(node).flatMap((one) => {
    const name = ts.isTypeReferenceNode(one)
      ? one.typeName
      : ts.isTypeQueryNode(one)
      ? one.exprName
      : ts.isExpressionWithTypeArguments(one)
      ? one.expression
      : undefined;
    const text = name?.getText();
    return text !== undefined && (own.has(text) || passedOn.has(text))
      ? [{ file, name: text }]
      : [];
  });
}

function below(node: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = [];
  const visit = (one: ts.Node) => {
    nodes.push(one);
    ts.forEachChild(one, visit);
  };
  visit(node);
  return nodes;
}

/** Of `type T<…> = …<typeof schema, { section: parameter }>`. */
async function schemaOf(file: string, node: ts.Statement): Promise<DeclaredSchema | undefined> {
  if (!ts.isTypeAliasDeclaration(node)) return undefined;
  const query = below(node).find(ts.isTypeQueryNode)?.exprName.getText();
  if (query === undefined) return undefined;
  const place = moduleOf(file).passedOn.get(query) ?? { file, name: query };
  const value = await valueOf(place);
  if (!(value instanceof z.ZodType)) return undefined;
  const parameters = (node.typeParameters ?? []).map((one) => one.getText()).join(", ");
  const sections = below(node).filter(ts.isPropertySignature)
    .map(({ name, type }) => [name.getText(), type?.getText() ?? "string"]);
  return {
    value,
    isReadonly: below(node).some((one) =>
      ts.isTypeReferenceNode(one) && one.typeName.getText() === "WithNames"
    ),
    parameters: parameters === "" ? "" : `<${parameters}>`,
    sections: Object.fromEntries(sections),
    docs: docsOf(place),
  };
}

async function valueOf({ file, name }: Place): Promise<unknown> {
  const module: Record<string, unknown> = await import(pathToFileURL(file).href);
  if (!(name in module)) throw new Error(`${file} does not export ${name}`);
  return module[name];
}

/** The doc comments of the members of a schema, from the source: types of schemas lose them. */
function docsOf({ file, name }: Place): ReadonlyMap<string, string> {
  const docs = new Map<string, string>();
  const variable = below(parsed(file, readFileSync(file, "utf8")))
    .find((one) => ts.isVariableDeclaration(one) && one.name.getText() === name);
  const visit = (node: ts.Node | undefined, path: string) => {
    const object = node === undefined ? undefined : below(node).find(ts.isObjectLiteralExpression);
    for (const property of object?.properties ?? []) {
      if (property.name === undefined) continue;
      const here = path + property.name.getText();
      const [comment] = ts.getJSDocCommentsAndTags(property).filter(ts.isJSDoc);
      const text = comment === undefined ? undefined : ts.getTextOfJSDocComment(comment.comment);
      if (text !== undefined) docs.set(here, text.replace(/\s+/g, " "));
      visit(property, `${here}.`);
    }
  };
  visit(variable, "");
  return docs;
}

/** With two spaces for the four that TypeScript writes, and without what it ought to strip. */
function reindented(text: string): string {
  return text.replace(/^ *\/\*\* @internal \*\/\n.*\n/gm, "").replace(
    /^(?: {4})+/gm,
    (spaces) => spaces.slice(spaces.length / 2),
  );
}
