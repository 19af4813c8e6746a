import { describe, expect, test } from 'vitest';
import { KINDS, LATER_KINDS } from '../../../src/controlplane/yaml/kinds.js';

interface JsonSchema {
  readonly type?: string | string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly description?: string;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly not?: unknown;
  readonly definitions?: Readonly<Record<string, JsonSchema>>;
  readonly allOf?: readonly { readonly if: unknown; readonly then: { readonly $ref: string } }[];
}

// @ts-expect-error: a build script, plain JavaScript
const { makeSchemas } = await import('../../../scripts/gen-schemas.mjs');
const schemas = (await makeSchemas()) as Record<string, JsonSchema>;

function visit(schema: JsonSchema, path: string, see: (schema: JsonSchema, path: string) => void): void {
  see(schema, path);
  for (const [name, property] of Object.entries(schema.properties ?? {})) visit(property, `${path}.${name}`, see);
  if (schema.items !== undefined) visit(schema.items, `${path}[]`, see);
  for (const option of schema.anyOf ?? []) visit(option, path, see);
}

describe('the published JSON Schemas', () => {
  test('are one for each kind, and one for all', () => {
    expect(Object.keys(schemas)).toEqual([...KINDS.map((kind) => `${kind}.json`), 'inmesh.json']);
    const all = schemas['inmesh.json'];
    expect(Object.keys(all?.definitions ?? {})).toEqual(KINDS);
    expect(all?.allOf?.map((branch) => branch.then.$ref)).toEqual(KINDS.map((kind) => `#/definitions/${kind}`));
  });

  test.each(KINDS)('%s allows no unknown fields, as the mesh does', (kind) => {
    const open: string[] = [];
    visit(schemas[`${kind}.json`] as JsonSchema, kind, (schema, path) => {
      if (schema.properties !== undefined && schema.additionalProperties !== false) open.push(path);
    });
    expect(open).toEqual([]);
  });

  test.each(KINDS)('%s explains every single value', (kind) => {
    const silent: string[] = [];
    visit(schemas[`${kind}.json`] as JsonSchema, kind, (schema, path) => {
      for (const [name, property] of Object.entries(schema.properties ?? {})) {
        const structure =
          property.properties !== undefined || property.type === 'array' || property.anyOf !== undefined;
        const refused = property.not !== undefined;
        if (property.description === undefined && !structure && !refused && name !== 'kind')
          silent.push(`${path}.${name}`);
      }
    });
    expect(silent).toEqual([]);
  });

  test('have defaults and patterns for editors', () => {
    const policy = schemas['TrafficPolicy.json']?.properties?.['spec']?.properties;
    expect(policy?.['retryConstraint']?.properties?.['budget']?.properties?.['percent']?.default).toBe(20);
    expect(policy?.['connectTimeout']?.pattern).toBe('^([0-9]{1,5}(h|m|s|ms)){1,4}$');
  });

  test('a kind is there or comes later, never both', () => {
    expect(KINDS.filter((kind) => LATER_KINDS.includes(kind))).toEqual([]);
  });
});
