#!/usr/bin/env node
/**
 * Checks the direction of imports in `src/` (lint/layers.mjs) and that the entry points stay light. Biome's noRestrictedImports
 * compares text, and `../client/` means another folder at every depth; this resolves each import to its file first.
 *
 * Usage: node lint/imports.mjs [folder that holds src/] [--packages]; the latter lists the packages that src/ loads instead.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';
import { INDEPENDENT_CHILDREN, LAYERS, LAZY } from './layers.mjs';

const root = resolve(process.argv[2] ?? '.');
const src = join(root, 'src');

/** @typedef {{ target: string, value: boolean, lazy: boolean, line: number, column: number }} Import */

/** Every import, export-from, `import()` and `import('…')` type of one file. @returns {Import[]} */
function importsOf(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
  const found = [];
  const add = (literal, value, lazy) => {
    if (literal === undefined || !ts.isStringLiteralLike(literal)) return;
    const { line, character } = source.getLineAndCharacterOfPosition(literal.getStart());
    found.push({ target: literal.text, value, lazy, line: line + 1, column: character + 1 });
  };
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, !node.importClause?.isTypeOnly, false);
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, !node.isTypeOnly, false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, false, true);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], true, true);
    } else if (ts.isCallExpression(node) && /^(require|createRequire\(.*\))$/.test(node.expression.getText(source))) {
      // `require('x')` and `createRequire(import.meta.url)('x')`.
      add(node.arguments[0], true, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The file a relative import means: `./x.js` is written for `x.ts`. */
function resolveImport(from, target) {
  const path = resolve(dirname(from), target);
  const typescript = path.replace(/\.js$/, '.ts');
  return existsSync(typescript) ? typescript : path;
}

/** `xds/wire/codec` for src/xds/wire/codec.ts. */
const nameOf = (file) =>
  relative(src, file)
    .split(sep)
    .join('/')
    .replace(/\.(ts|js|json)$/, '');

const layerOf = (name) => name.split('/')[0];

const packageOf = (target) => target.split('/', target.startsWith('@') ? 2 : 1).join('/');

/** Built into Node, not a package. */
const isBuiltin = (target) => target.startsWith('node:');

const files = readdirSync(src, { recursive: true })
  .map((name) => join(src, name))
  .filter((file) => file.endsWith('.ts'))
  .sort();
const graph = new Map(files.map((file) => [file, importsOf(file)]));
const problems = [];

if (process.argv.includes('--packages')) {
  const loaded = [...graph.values()]
    .flat()
    .filter(({ target, value }) => value && !target.startsWith('.') && !isBuiltin(target));
  console.log([...new Set(loaded.map(({ target }) => packageOf(target)))].sort().join('\n'));
  process.exit(0);
}

for (const [file, imports] of graph) {
  const from = nameOf(file);
  const allowed = LAYERS[layerOf(from)];
  if (allowed === undefined) {
    problems.push(`${relative(root, file)}:1:1 "${layerOf(from)}" is no layer: give it a line in lint/layers.mjs`);
    continue;
  }
  for (const { target, line, column } of imports) {
    if (!target.startsWith('.')) continue;
    const to = nameOf(resolveImport(file, target));
    const at = `${relative(root, file)}:${line}:${column}`;
    if (to.startsWith('../')) problems.push(`${at} leaves src/: "${target}"`);
    else if (layerOf(to) === layerOf(from)) {
      const [layer, child] = from.split('/');
      const other = to.split('/');
      const folders = from.split('/').length > 2 && other.length > 2;
      if (INDEPENDENT_CHILDREN.includes(layer) && folders && other[1] !== child) {
        problems.push(`${at} ${layer}/${child} must not know ${layer}/${other[1]}: put what both need into core/`);
      }
    } else if (!allowed.some((name) => to === name || to.startsWith(`${name}/`))) {
      const may = allowed.length === 0 ? 'nothing' : allowed.join(', ');
      problems.push(`${at} ${layerOf(from)}/ must not import ${layerOf(to)}/: it may import ${may}`);
    }
  }
}

for (const entry of LAZY.entries) {
  const start = join(src, `${entry}.ts`);
  const reachedFrom = new Map([[start, undefined]]);
  for (const file of reachedFrom.keys()) {
    for (const { target, value, lazy, line, column } of graph.get(file) ?? []) {
      if (!value || lazy) continue;
      if (target.startsWith('.')) {
        const next = resolveImport(file, target);
        if (!reachedFrom.has(next)) reachedFrom.set(next, file);
      } else if (LAZY.packages.includes(packageOf(target))) {
        const chain = [];
        for (let at = file; at !== undefined; at = reachedFrom.get(at)) chain.unshift(nameOf(at));
        const at = `${relative(root, file)}:${line}:${column}`;
        problems.push(
          `${at} "${target}" is loaded with inmesh itself (${chain.join(' > ')}): use import() where it is needed`,
        );
      }
    }
  }
}

for (const problem of [...new Set(problems)]) console.log(problem);
console.log(`${files.length} files, ${problems.length} import ${problems.length === 1 ? 'problem' : 'problems'}`);
process.exitCode = problems.length === 0 ? 0 : 1;
