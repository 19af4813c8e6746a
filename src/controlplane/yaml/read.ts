import * as v from 'valibot';
import { nearest, shown } from '../../core/decode.js';
import { CHECKS } from './checks/index.js';
import { type Document, type Kind, resourceLabel } from './document.js';
import { foreignKind } from './foreign-kinds.js';
import { reportIssues } from './issues.js';
import { KINDS, LATER_KINDS, SCHEMAS } from './kinds.js';
import { parseYaml, type RawDocument } from './parse.js';
import { type Path, pathText, type Problems, type Report } from './problem.js';
import { apartFrom, salvage } from './salvage.js';
import { reportUnknownFields } from './unknown-fields.js';

/** A file by the name that messages use. */
export interface SourceFile {
  readonly name: string;
  readonly text: string;
}

export interface ReadResult {
  readonly documents: readonly Document[];
  /** What can be read of those that are wrong: their references are looked at, and nothing else. */
  readonly salvaged: readonly SalvagedDocument[];
  /** Labels of resources that are wrong in themselves. */
  readonly unreadable: ReadonlySet<string>;
  /** Whether all texts were YAML, so that nothing is missing that nobody knows of. */
  readonly complete: boolean;
}

/** A resource with mistakes. */
export interface SalvagedDocument {
  readonly document: Document;
  /** Fields that are not in it as they were unreadable. */
  readonly removed: readonly Path[];
  /** Fields that have been complained of. */
  readonly reported: readonly Path[];
}

/** Reads resources out of YAML or JSON. What is wrong is in `problems`, all of it; what is right is in the result. */
export function readDocuments(files: readonly SourceFile[], problems: Problems): ReadResult {
  const documents: Document[] = [];
  const salvaged: SalvagedDocument[] = [];
  const unreadable = new Set<string>();
  const raw = files.flatMap((file) => parseYaml(file.name, file.text, problems));
  const complete = problems.list.length === 0;
  for (const each of raw) {
    const { resource, document, wrong } = readDocument(each, problems);
    if (document !== undefined) documents.push(document);
    else unreadable.add(resource);
    if (wrong !== undefined) salvaged.push(wrong);
  }
  return { documents, salvaged, unreadable, complete };
}

/** One resource: `document` when it is right, and else what of it can be read all the same. */
interface ReadDocument {
  /** What to call it. */
  readonly resource: string;
  readonly document?: Document;
  readonly wrong?: SalvagedDocument;
}

/** Kinds whose entries say nothing of each other, so that what is right in one can be checked beside another that is wrong. */
const ENTRIES_APART: ReadonlySet<Kind> = new Set(['RateLimitPolicy', 'QuotaPolicy', 'FaultPolicy']);

function readDocument(raw: RawDocument, problems: Problems): ReadDocument {
  const { value } = raw;
  let resource = '';
  const reported: Path[] = [];
  const reporter =
    (locate: RawDocument['locate']): Report =>
    (path, message, hints) => {
      reported.push(path);
      problems.add({ ...locate(path), resource, path: pathText(path), message, ...hints });
    };
  const report = reporter(raw.locate);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    report([], `must be a resource with apiVersion, kind, metadata and spec, got ${shown(value)}`);
    return { resource };
  }
  resource = labelOf(value as Record<string, unknown>);
  const kind = kindOf((value as Record<string, unknown>)['kind'], report);
  if (kind === undefined) return { resource };
  const schema: v.GenericSchema = SCHEMAS[kind];
  reportUnknownFields(schema, value, reporter(raw.locateKey));
  const unknown = [...reported];
  const result = v.safeParse(schema, value);
  if (!result.success) reportIssues(result.issues, report);
  if (reported.length > 0) {
    const { output, removed } = salvage(schema, value, unknown) ?? {};
    if (output === undefined || removed === undefined) return { resource };
    const document = documentOf(kind, output as Parsed, raw);
    if (ENTRIES_APART.has(kind)) CHECKS[kind]?.(document.spec as never, apartFrom(removed, report));
    return { resource, wrong: { document, removed, reported } };
  }
  const document = documentOf(kind, result.output as Parsed, raw);
  CHECKS[kind]?.(document.spec as never, report);
  return reported.length === 0 ? { resource, document } : { resource, wrong: { document, removed: [], reported } };
}

interface Parsed {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Record<string, string>;
    readonly creationTimestamp?: string | null;
  };
  readonly spec?: unknown;
}

function documentOf(kind: Kind, parsed: Parsed, raw: RawDocument): Document {
  const { name, namespace, labels, creationTimestamp } = parsed.metadata;
  return {
    kind,
    name,
    namespace,
    labels: labels ?? {},
    createdAt: creationTimestamp ? Date.parse(creationTimestamp) : Number.POSITIVE_INFINITY,
    spec: kind === 'EndpointSlice' ? parsed : parsed.spec,
    locate: raw.locate,
  } as Document;
}

/** What to call a resource that may be wrong in any part: printable, and not too long for a line. */
function labelOf(value: Record<string, unknown>): string {
  const kind = printable(value['kind'], 64) ?? 'resource';
  const metadata = value['metadata'];
  const { name, namespace } = (typeof metadata === 'object' && metadata !== null ? metadata : {}) as Partial<
    Record<string, unknown>
  >;
  const shownName = printable(name, 253);
  return shownName === undefined ? kind : resourceLabel(kind, printable(namespace, 63) ?? 'default', shownName);
}

/** Without control characters, which could forge lines of a log. */
function printable(value: unknown, maxLength: number): string | undefined {
  return typeof value === 'string' ? value.slice(0, maxLength).replace(/\p{C}/gu, '?') : undefined;
}

function kindOf(kind: unknown, report: Report): Kind | undefined {
  const known: readonly string[] = KINDS;
  if (typeof kind === 'string' && known.includes(kind)) return kind as Kind;
  const supported = `supported: ${KINDS.join(', ')}`;
  if (typeof kind !== 'string') {
    const got = kind === undefined ? 'is missing' : `must be a string, got ${shown(kind)}`;
    report(['kind'], `${got}; ${supported}`, { expected: KINDS.join(', ') });
    return undefined;
  }
  const foreign = foreignKind(kind);
  if (foreign !== undefined) {
    report(['kind'], foreign, { expected: KINDS.join(', ') });
  } else if (LATER_KINDS.includes(kind)) {
    report(['kind'], `kind ${shown(kind)} is not supported by this version of inmesh; ${supported}`, {
      expected: KINDS.join(', '),
    });
  } else {
    const near = nearest(kind, [...KINDS, ...LATER_KINDS]);
    const hint = near === undefined ? supported : `did you mean "${near}"?`;
    report(['kind'], `unknown kind ${shown(kind)}; ${hint}`, {
      expected: KINDS.join(', '),
      ...(near !== undefined && { nearest: near }),
    });
  }
  return undefined;
}
