import { toJsonSchema } from '@valibot/to-json-schema';
import { DURATION_PATTERN, PERIOD_PATTERN } from '../../../src/controlplane/yaml/duration.js';
import { KINDS, SCHEMAS } from '../../../src/controlplane/yaml/kinds.js';

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly anyOf?: readonly JsonSchema[];
  readonly not?: JsonSchema;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
}

/** What a kind's documents may hold, as its schema says. */
export interface KindFields {
  /** Rows of a table: path, value, meaning. */
  readonly rows: readonly (readonly [string, string, string])[];
  /** Paths that are accepted and not used. */
  readonly ignored: readonly string[];
  /** Paths of the original API that are refused. */
  readonly refused: readonly string[];
}

const IGNORED = 'Accepted and not used';

/** `metadata` is the same for every kind, and described by itself. */
export function fieldsOf(kind: (typeof KINDS)[number] | 'metadata'): KindFields {
  const schema = jsonSchema(kind === 'metadata' ? 'Service' : kind);
  const { metadata, apiVersion: _, kind: __, status: ___, ...own } = schema.properties ?? {};
  const walk = new Walk();
  if (kind === 'metadata') walk.object('metadata', metadata as JsonSchema);
  else walk.object('', { ...schema, properties: own });
  return walk;
}

/** The whole table as Markdown, with what is accepted and what is refused below it. */
export function fieldsMarkdown(kind: (typeof KINDS)[number] | 'metadata'): string {
  const { rows, ignored, refused } = fieldsOf(kind);
  const lines = ['| field | value | meaning |', '|---|---|---|'];
  for (const [path, value, meaning] of rows)
    lines.push(`| \`${path}\` | ${value} | ${meaning.replaceAll('|', '\\|')} |`);
  const list = (paths: readonly string[]): string => paths.map((path) => `\`${path}\``).join(', ');
  if (ignored.length > 0) lines.push('', `Accepted and not used: ${list(ignored)}.`);
  if (refused.length > 0) lines.push('', `Refused, as it would change behaviour: ${list(refused)}.`);
  return `${lines.join('\n')}\n`;
}

export const SUBJECTS = ['metadata', ...KINDS] as const;

/** The generated part of the document for one subject, markers included. */
export const MARKED = (subject: string): RegExp =>
  new RegExp(`(<!-- fields: ${subject} -->\\n)([\\s\\S]*?)(<!-- end of fields -->)`);

function jsonSchema(kind: (typeof KINDS)[number]): JsonSchema {
  return toJsonSchema(SCHEMAS[kind], { target: 'draft-07', typeMode: 'input', errorMode: 'throw' }) as JsonSchema;
}

class Walk implements KindFields {
  readonly rows: [string, string, string][] = [];
  readonly ignored: string[] = [];
  readonly refused: string[] = [];
  /** Objects that have rows already, by what they hold: an equal one elsewhere refers to the first. */
  readonly #shown = new Map<string, string>();

  object(path: string, schema: JsonSchema): void {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      this.#field(path === '' ? name : `${path}.${name}`, field, schema.required?.includes(name) ?? false);
    }
  }

  #field(path: string, given: JsonSchema, required: boolean): void {
    const field = withoutNull(given);
    const description = given.description ?? field.description ?? '';
    if (field.not !== undefined) this.refused.push(path);
    else if (description.startsWith(IGNORED) && field.type === undefined) this.ignored.push(path);
    else {
      const inner = innerOf(field);
      const at = field.type === 'array' ? `${path}[]` : path;
      const before = inner === undefined ? undefined : this.#shown.get(JSON.stringify(inner.properties));
      const refer = before === undefined ? '' : `As \`${before}\`.`;
      const meaning = [description, defaultOf(field, description), refer].filter((part) => part !== '').join(' ');
      // An object that says nothing of itself is no field that one sets.
      if (inner === undefined || meaning !== '') {
        this.rows.push([path, valueText(field) + (required ? ', required' : ''), meaning]);
      }
      if (inner === undefined || before !== undefined) return;
      this.#shown.set(JSON.stringify(inner.properties), at);
      this.object(at, inner);
    }
  }
}

function withoutNull(schema: JsonSchema): JsonSchema {
  const others = schema.anyOf?.filter(({ type }) => type !== 'null');
  return others?.length === 1 ? { ...schema, ...(others[0] as JsonSchema) } : schema;
}

/** The object that a field holds, or that each entry of its list may be. */
function innerOf(field: JsonSchema): JsonSchema | undefined {
  const item = withoutNull(field.items ?? field);
  return [item, ...(item.anyOf ?? [])].find(({ properties = {} }) => Object.keys(properties).length > 0);
}

function defaultOf({ default: value }: JsonSchema, description: string): string {
  if (value === undefined || value === '' || typeof value === 'object' || description.includes('Default')) return '';
  return `Default ${String(value)}.`;
}

function valueText(field: JsonSchema): string {
  const { minimum, maximum, minItems = 0, maxItems } = field;
  if (field.const !== undefined) return field.const === '' ? '`""`' : `\`${String(field.const)}\``;
  if (field.enum !== undefined) return field.enum.map((name) => `\`${String(name)}\``).join(', ');
  if (field.anyOf !== undefined) return field.anyOf.map(valueText).join(' or ');
  switch (field.type) {
    case 'array': {
      const of = innerOf(field) === undefined ? ` of ${valueText(field.items as JsonSchema)}` : '';
      if (maxItems === undefined) return `list${of}${minItems > 0 ? `, at least ${minItems}` : ''}`;
      return `list${of}, ${minItems > 0 ? `${minItems} to` : 'at most'} ${maxItems}`;
    }
    case 'object':
      if (field.properties === undefined) return 'map';
      return Object.keys(field.properties).length === 0 ? '`{}`' : 'object';
    case 'integer':
      return `${grouped(minimum as number)} to ${grouped(maximum as number)}`;
    case 'string':
      return textOf(field);
    default:
      return field.type ?? 'anything';
  }
}

function textOf({ pattern, minLength, maxLength }: JsonSchema): string {
  if (pattern === DURATION_PATTERN.source) return 'duration';
  if (pattern === PERIOD_PATTERN.source) return 'duration or word';
  if (maxLength === undefined) return pattern === undefined ? 'text' : 'name';
  return `text, ${minLength ?? 0} to ${grouped(maxLength)} characters`;
}

const grouped = (number: number): string => number.toLocaleString('en');
