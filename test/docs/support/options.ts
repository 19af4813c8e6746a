import { dirname, join } from 'node:path';
import type { Command, Option } from 'commander';
import ts from 'typescript';
import { describe } from '../../../src/cli/program.js';
import { parse } from './sources.js';

/** An option of a program, or a flag of a command, and what it means. */
type Row = readonly [name: string, meaning: string];

/** Options that are objects with options of their own: what their interfaces are called. */
const NESTED = /(?:Options|Limits)$/;

/** The options that an interface has, those inside of them too, each by its way from the top; what they mean is what their comments say. */
export function optionRows(path: string, name: string, prefix = '', without: ReadonlySet<string> = new Set()): Row[] {
  const source = parse(path);
  const found = interfaceOf(source, name);
  if (found === undefined) throw new Error(`${path} has no interface ${name}`);
  const rows: Row[] = [];
  for (const clause of found.heritageClauses ?? []) {
    for (const type of clause.types) rows.push(...inherited(source, type, prefix));
  }
  for (const member of found.members) {
    const option = member.name?.getText() ?? '';
    if (without.has(option) || !ts.isPropertySignature(member)) continue;
    const meaning = commentOf(member);
    if (meaning === '') throw new Error(`${path}: ${name}.${option} has no comment that says what it means`);
    const own: Row = [prefix + option, meaning];
    // What an heir says of an option takes the place of what it inherits.
    const at = rows.findIndex(([known]) => known === own[0]);
    if (at >= 0) rows.splice(at, 1);
    rows.push(own);
    const inner = member.type === undefined ? undefined : nestedIn(source, member.type);
    if (inner !== undefined) rows.push(...optionRows(inner.path, inner.name, `${prefix}${option}.`));
  }
  return rows;
}

/** Of `extends Base`, or of `extends Omit<Base, 'a' | 'b'>`. */
function inherited(source: ts.SourceFile, type: ts.ExpressionWithTypeArguments, prefix: string): Row[] {
  const [base, omitted] = type.typeArguments ?? [];
  if (base === undefined) return rowsOf(locate(source, type.expression.getText()), prefix);
  const names = [...(omitted?.getText() ?? '').matchAll(/'(\w+)'/g)].map(([, name]) => name as string);
  return rowsOf(locate(source, base.getText()), prefix, new Set(names));
}

const rowsOf = ({ path, name }: Located, prefix: string, without?: ReadonlySet<string>): Row[] =>
  optionRows(path, name, prefix, without);

interface Located {
  readonly path: string;
  readonly name: string;
}

/** The interface that a type names somewhere: `true | CaServerOptions`, `Partial<AdsServerLimits>`. */
function nestedIn(source: ts.SourceFile, type: ts.TypeNode): Located | undefined {
  for (const name of type.getText().match(/\b[A-Z]\w*\b/g) ?? []) {
    if (!NESTED.test(name)) continue;
    const { path } = locate(source, name);
    if (interfaceOf(parse(path), name) !== undefined) return { path, name };
  }
  return undefined;
}

/** The file that declares what a file calls so: that one, or one that it imports. */
function locate(source: ts.SourceFile, name: string): Located {
  const path = source.fileName.slice(source.fileName.lastIndexOf('src/'));
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement)) continue;
    const bindings = statement.importClause?.namedBindings;
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue;
    if (!bindings.elements.some((element) => element.name.text === name)) continue;
    const from = (statement.moduleSpecifier as ts.StringLiteral).text;
    return { path: join(dirname(path), from.replace(/\.js$/, '.ts')), name };
  }
  return { path, name };
}

const interfaceOf = (source: ts.SourceFile, name: string): ts.InterfaceDeclaration | undefined =>
  source.statements.find(
    (node): node is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(node) && node.name.text === name,
  );

function commentOf(node: ts.Node): string {
  const text = node.getSourceFile().text;
  const last = ts.getLeadingCommentRanges(text, node.pos)?.at(-1);
  if (last === undefined) return '';
  return text
    .slice(last.pos, last.end)
    .replace(/^\/\*\*?|\*\/$/g, '')
    .replace(/^\s*\* ?/gm, '')
    .trim()
    .replaceAll('\n', ' ');
}

/** The flags of a command, as its `--help` lists them. */
export function flagRows(command: string): Row[] {
  const nothing = {
    out: () => {},
    err: () => {},
    logger: undefined as never,
    stopped: () => new Promise<void>(() => {}),
  };
  const found = describe(nothing, () => {}).commands.find((each: Command) => each.name() === command);
  if (found === undefined) throw new Error(`there is no command ${command}`);
  return found.options.map((option) => [option.flags, meaningOf(option)]);
}

function meaningOf({ description, argChoices, defaultValue, envVar }: Option): string {
  const parts = [description];
  if (argChoices !== undefined) parts.push(argChoices.map((choice) => `\`${choice}\``).join(', '));
  if (envVar !== undefined) parts.push(`or \`${envVar}\` of the environment`);
  if (defaultValue !== undefined) parts.push(`default: \`${String(defaultValue)}\``);
  return parts.join('; ');
}

const markdown = (heading: string, rows: readonly Row[]): string =>
  [
    `| ${heading} | meaning |`,
    '|---|---|',
    ...rows.map(([name, meaning]) => `| \`${name}\` | ${meaning.replaceAll('|', '\\|')} |`),
    '',
  ].join('\n');

/** Generated tables of docs/configuration.md, by what their markers call them. */
export const OPTION_TABLES: Readonly<Record<string, () => string>> = {
  'inmesh controlplane': () => markdown('flag', flagRows('controlplane')),
  startControlPlane: () => markdown('option', optionRows('src/controlplane/options.ts', 'ControlPlaneOptions')),
};
