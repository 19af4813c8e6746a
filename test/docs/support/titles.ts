import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { pathOf } from './markdown.js';

/** What stands between the title of a group and that of a test in it. */
const WITHIN = ' › ';

/**
 * Titles of a test file as they stand in its source, placeholders and all: of each group and test alone, and of each test after its groups. The `rule`
 * of an entry of a table of rules is a title too: such a table's tests are named by it.
 */
export function titlesOf(path: string): ReadonlySet<string> {
  const titles = new Set<string>();
  const visit = (node: ts.Node, outer: readonly string[]): void => {
    const title = titleOf(node);
    const groups = title === undefined ? outer : [...outer, title];
    if (title !== undefined) for (let i = 0; i < groups.length; i++) titles.add(groups.slice(i).join(WITHIN));
    ts.forEachChild(node, (child) => visit(child, groups));
  };
  visit(ts.createSourceFile(path, readFileSync(pathOf(path), 'utf8'), ts.ScriptTarget.Latest), []);
  return titles;
}

/** Of a call to `test`, `it` or `describe` or of what they have (`each`, `skipIf`), or of a rule. */
function titleOf(node: ts.Node): string | undefined {
  if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name) && node.name.text === 'rule')
    return text(node.initializer);
  return ts.isCallExpression(node) && isTesting(node.expression) ? text(node.arguments[0]) : undefined;
}

function isTesting(callee: ts.Expression): boolean {
  if (ts.isIdentifier(callee)) return ['test', 'it', 'describe'].includes(callee.text);
  if (ts.isPropertyAccessExpression(callee) || ts.isCallExpression(callee)) return isTesting(callee.expression);
  return ts.isTaggedTemplateExpression(callee) && isTesting(callee.tag);
}

const text = (node: ts.Node | undefined): string | undefined =>
  node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
