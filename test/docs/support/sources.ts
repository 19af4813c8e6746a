import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { pathOf } from './markdown.js';

/** Files below a folder of the repository, as paths from the root. */
export const filesBelow = (folder: string): string[] =>
  readdirSync(pathOf(folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(pathOf('.').length))
    .sort();

export const parse = (path: string): ts.SourceFile =>
  ts.createSourceFile(path, readFileSync(pathOf(path), 'utf8'), ts.ScriptTarget.ES2022, true);

/** Names that a file declares at its top, exported or not, and the members of its classes as `Class.member`. */
export function declaredNames(path: string): Set<string> {
  const names = new Set<string>();
  for (const statement of parse(path).statements) {
    if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) names.add(name.getText());
    } else if (ts.isClassDeclaration(statement) && statement.name !== undefined) {
      names.add(statement.name.text);
      for (const { name } of statement.members) {
        if (name !== undefined) names.add(`${statement.name.text}.${name.getText()}`);
      }
    } else if (
      (ts.isFunctionDeclaration(statement) ||
        ts.isInterfaceDeclaration(statement) ||
        ts.isTypeAliasDeclaration(statement)) &&
      statement.name !== undefined
    ) {
      names.add(statement.name.text);
    }
  }
  return names;
}

/** Properties of an interface, in their order. */
export function membersOf(path: string, name: string): string[] {
  const found = parse(path).statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name);
  if (found === undefined) throw new Error(`${path} has no interface ${name}`);
  return (found as ts.InterfaceDeclaration).members.map((member) => member.name?.getText() ?? '');
}

/** Value of a constant, exported or not, as its source says: `NAME`, or `NAME.property` of an object. Literals and arithmetic only. */
export function constantOf(path: string, name: string): unknown {
  const [variable, ...properties] = name.split('.');
  for (const statement of parse(path).statements) {
    if (!ts.isVariableStatement(statement)) continue;
    for (const declaration of statement.declarationList.declarations) {
      if (declaration.name.getText() !== variable || declaration.initializer === undefined) continue;
      let value = literal(declaration.initializer);
      for (const property of properties) value = (value as Record<string, unknown>)[property];
      return value;
    }
  }
  throw new Error(`${path} has no constant ${variable}`);
}

function literal(node: ts.Expression): unknown {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isStringLiteral(node)) return node.text;
  if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
  if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
  if (node.getText() === 'undefined') return undefined;
  if (node.getText() === 'Number.POSITIVE_INFINITY') return Number.POSITIVE_INFINITY;
  if (ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) return literal(node.expression);
  if (ts.isArrayLiteralExpression(node)) return node.elements.map(literal);
  if (ts.isNewExpression(node) && node.expression.getText() === 'Set') {
    return node.arguments?.[0] === undefined ? [] : literal(node.arguments[0]);
  }
  if (ts.isObjectLiteralExpression(node)) {
    const assigned = node.properties.filter((property) => ts.isPropertyAssignment(property));
    return Object.fromEntries(
      assigned.map(({ name, initializer }) => [name.getText().replace(/^'|'$/g, ''), literal(initializer)]),
    );
  }
  if (ts.isBinaryExpression(node)) {
    const [left, right] = [literal(node.left) as number, literal(node.right) as number];
    const operator = node.operatorToken.getText();
    if (operator === '*') return left * right;
    if (operator === '-') return left - right;
    if (operator === '**') return left ** right;
  }
  throw new Error(`${node.getText()} is not a plain value`);
}
