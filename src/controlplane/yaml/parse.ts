import {
  type Document as YamlDocument,
  LineCounter,
  type Node,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
} from 'yaml';
import type { Path, Place, Problems } from './problem.js';

/** Characters in one file. The parser needs about 0.6 s for a million. */
export const MAX_FILE_CHARS = 4 * 1024 * 1024;
/** Documents in one file. */
export const MAX_DOCUMENTS = 20_000;
/** How much a file may grow by its aliases: nodes that all aliases of a document stand for. */
const MAX_ALIASES = 100;

/** One YAML document as plain data, and where its parts stand. */
export interface RawDocument {
  readonly value: unknown;
  readonly locate: (path: Path) => Place;
  /** Place of a key itself, for fields that should not be there. */
  readonly locateKey: (path: Path) => Place;
  /** A scalar as it is written, before YAML makes a number or a truth of it; undefined where there is none. */
  readonly written: (path: Path) => string | undefined;
}

/**
 * Reads all documents of a file (YAML 1.2; JSON is part of it). A document with mistakes in its syntax is reported and left out;
 * the others are read. `kubectl get -o yaml` makes one `List`: its items count as documents.
 */
export function parseYaml(file: string, text: string, problems: Problems): RawDocument[] {
  const complain = (line: number, column: number, message: string): void =>
    problems.add({ file, line, column, resource: '', path: '', message });
  if (text.length > MAX_FILE_CHARS) {
    complain(1, 1, `is ${text.length} characters long; at most ${MAX_FILE_CHARS} are read: split it`);
    return [];
  }
  const lines = new LineCounter();
  let documents: YamlDocument[];
  try {
    documents = [
      ...parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent', stringKeys: true }),
    ];
  } catch (error) {
    // Recursion deeper than the stack: the composer descends once per level of nesting.
    complain(1, 1, `cannot be read: ${error instanceof RangeError ? 'it is nested too deeply' : String(error)}`);
    return [];
  }
  if (documents.length > MAX_DOCUMENTS) {
    complain(1, 1, `has ${documents.length} documents; at most ${MAX_DOCUMENTS} are read: split it`);
    return [];
  }
  const found: RawDocument[] = [];
  for (const document of documents) {
    if (document.errors.length > 0) {
      for (const error of document.errors) {
        const at = lines.linePos(error.pos[0]);
        complain(at.line, at.col, `is not YAML: ${error.message}`);
      }
      continue;
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      const at = lines.linePos(document.range?.[0] ?? 0);
      complain(
        at.line,
        at.col,
        error instanceof RangeError ? 'is nested too deeply' : `cannot be read: ${(error as Error).message}`,
      );
      continue;
    }
    if (value === null || value === undefined) continue;
    found.push(...withPlaces(file, lines, document, value));
  }
  return found;
}

function withPlaces(file: string, lines: LineCounter, document: YamlDocument, value: unknown): RawDocument[] {
  const placeOf = (node: unknown): Place => {
    const offset = isNode(node) ? (node.range?.[0] ?? 0) : (document.range?.[0] ?? 0);
    const at = lines.linePos(offset);
    return { file, line: at.line, column: at.col };
  };
  const from = (prefix: Path, data: unknown): RawDocument => ({
    value: data,
    locate: (path) => placeOf(find(document, [...prefix, ...path]).value),
    locateKey: (path) => placeOf(find(document, [...prefix, ...path]).key),
    written: (path) => {
      const { value: node } = find(document, [...prefix, ...path]);
      return isScalar(node) ? node.source : undefined;
    },
  });
  const items = listItems(value);
  return items === undefined ? [from([], value)] : items.map((item, index) => from(['items', index], item));
}

/** The resources in a `v1` `List`, or undefined when the document is none. */
function listItems(value: unknown): unknown[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { apiVersion, kind, items } = value as Record<string, unknown>;
  return apiVersion === 'v1' && kind === 'List' && Array.isArray(items) ? items : undefined;
}

/** The node at `path` and the key it stands under; of a path that ends in nothing, the last node that there is. */
function find(document: YamlDocument, path: Path): { key: Node | null; value: Node | null } {
  let value: Node | null = document.contents as Node | null;
  let key: Node | null = value;
  for (const step of path) {
    if (isMap(value)) {
      const pair = value.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
      );
      if (pair === undefined) break;
      key = isNode(pair.key) ? pair.key : key;
      // An empty value has no place of its own: that of its key will do.
      value = isNode(pair.value) && pair.value.range?.[0] !== pair.value.range?.[1] ? pair.value : key;
    } else if (isSeq(value) && typeof step === 'number') {
      const item: unknown = value.items[step];
      if (!isNode(item)) break;
      key = value = item;
    } else break;
  }
  return { key, value };
}
