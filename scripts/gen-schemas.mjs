/**
 * Makes `schemas/*.json`: JSON Schemas (draft-07, what editors read) of every kind of resource, and `schemas/inmesh.json` for
 * files that hold several kinds. They come from the schemas that validate configuration (`src/controlplane/yaml/schema/`), so that
 * an editor and the mesh cannot differ. What a schema cannot say (rules between fields and between resources) only the mesh checks.
 *
 * Usage: `node scripts/gen-schemas.mjs`. In an editor: `# yaml-language-server: $schema=node_modules/inmesh/schemas/inmesh.json`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toJsonSchema } from '@valibot/to-json-schema';
import { tsImport } from 'tsx/esm/api';

const project = dirname(dirname(fileURLToPath(import.meta.url)));

/** Schemas by file name, without the folder. Output depends on the sources alone. */
export async function makeSchemas() {
  const { SCHEMAS } = await tsImport('../src/controlplane/yaml/kinds.ts', import.meta.url);
  const files = {};
  const definitions = {};
  for (const [kind, schema] of Object.entries(SCHEMAS)) {
    const json = toJsonSchema(schema, { target: 'draft-07', typeMode: 'input', errorMode: 'throw' });
    files[`${kind}.json`] = { ...json, title: kind };
    const { $schema: _, ...definition } = json;
    definitions[kind] = { ...definition, title: kind };
  }
  files['inmesh.json'] = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'inmesh configuration',
    type: 'object',
    required: ['apiVersion', 'kind', 'metadata'],
    properties: { kind: { enum: Object.keys(SCHEMAS), description: 'Kind of the resource.' } },
    // One branch by kind, so that an editor complains of what is wrong there and not of every kind that it is not.
    allOf: Object.keys(SCHEMAS).map((kind) => ({
      if: { properties: { kind: { const: kind } }, required: ['kind'] },
      // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
      then: { $ref: `#/definitions/${kind}` },
    })),
    definitions,
  };
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = join(project, 'schemas');
  mkdirSync(folder, { recursive: true });
  for (const [name, schema] of Object.entries(await makeSchemas())) {
    writeFileSync(join(folder, name), `${JSON.stringify(schema, null, 2)}\n`);
  }
}
