import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compileText, formatProblem } from '../../src/controlplane/config.js';
import { readLimits } from '../../src/controlplane/ratelimit/read.js';
import { FOREIGN_KINDS } from '../../src/controlplane/yaml/foreign-kinds.js';
import { LATER_KINDS } from '../../src/controlplane/yaml/kinds.js';
import { LISTENER } from '../../src/core/resources.js';
import { compileYaml, httpRouteYaml, listenersOf, routesOf, serviceYaml } from '../support/mesh-yaml.js';
import { fieldsMarkdown, MARKED, SUBJECTS } from './support/fields.js';
import { OPTION_TABLES } from './support/options.js';
import { DOCS, pathOf, readDoc, sections, table } from './support/markdown.js';
import { constantOf, filesBelow, membersOf } from './support/sources.js';

const doc = await readDoc('docs/configuration.md');

describe('YAML that readers copy', async () => {
  const blocks = (await Promise.all(DOCS.map(readDoc))).flatMap((text, i) =>
    sections(text).flatMap((section) =>
      section.blocks.flatMap((block, at) =>
        block.language === 'yaml' ? [{ doc: DOCS[i], block, shown: section.blocks.slice(at + 1) }] : [],
      ),
    ),
  );

  test.each(blocks.map((found) => ({ ...found, place: `${found.doc}:${found.block.line}` })))(
    '$place compiles, or has exactly the mistakes that are shown',
    ({ block, shown }) => {
      const name = block.file ?? 'mesh.yaml';
      const files = [{ name, text: block.text }];
      // Files of envoyproxy/ratelimit begin with their domain.
      const { problems: found } = /^domain:/m.test(block.text) ? readLimits(files) : compileText(files);
      const problems = found.map(formatProblem);
      const told = shown.find(({ language, text }) => language === 'text' && text.startsWith(`${name}:`));
      const expected = told?.text.split('\n').filter((line) => line.startsWith(`${name}:`)) ?? [];
      expect(problems).toEqual(expected);
    },
  );
});

test.each([...SUBJECTS])(
  'the fields of %s are those of its schema (npx tsx test/docs/support/write-tables.ts)',
  (subject) => {
    expect(MARKED(subject).exec(doc)?.[2]).toBe(fieldsMarkdown(subject));
  },
);

test.each(Object.entries(OPTION_TABLES))(
  'the options of %s are those that it has (npx tsx test/docs/support/write-tables.ts)',
  (subject, generated) => {
    expect(MARKED(subject).exec(doc)?.[2]).toBe(generated());
  },
);

test('the options of meshClient are all there, in their order', () => {
  expect(table(doc, 'Where it comes from').map(([name]) => name)).toEqual(
    membersOf('src/mesh/options.ts', 'MeshOptions'),
  );
});

test('the options of middleware are all there, in their order', () => {
  expect(table(doc, 'Middleware of servers').map(([name]) => name)).toEqual(
    membersOf('src/server/inbound.ts', 'InboundOptions'),
  );
});

test('the kinds of others that are known by name stand on the page for those who bring them', async () => {
  const kinds = table(await readDoc('docs/from-envoy-and-istio.md'), 'Kinds').flatMap(([names]) => names?.split(', '));
  expect(kinds.sort()).toEqual([...FOREIGN_KINDS].sort());
});

test('every environment variable that is read is documented', () => {
  const read = new Set(
    filesBelow('src')
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => readFileSync(pathOf(file), 'utf8').match(/\b(?:INMESH|GRPC_XDS)_[A-Z_]+\b/g) ?? []),
  );
  const documented = [...doc.matchAll(/^\| `((?:INMESH|GRPC_XDS)_[A-Z_]+)` \|/gm)].map(([, name]) => name);
  expect(documented.sort()).toEqual([...read].sort());
});

test('the names of a service are all that it answers to', () => {
  const example = sections(doc).find(({ heading }) => heading === 'Names of a service')?.blocks[0];
  const compiled = compileYaml(example?.text ?? '');
  const documented = table(doc, 'Names of a service');
  expect(documented.map(([name]) => name).sort()).toEqual(listenersOf(compiled).sort());
  for (const [name, port] of documented) {
    expect(JSON.stringify(compiled.resources[LISTENER].get(name as string)), name).toContain(
      `"route_config_name":"reviews.shop:${port}"`,
    );
  }
});

test.each(table(doc, 'Retries and timeouts'))('%s becomes what the table says', (rule, on, retries, perTry, whole) => {
  // A rule in braces has several fields, or none.
  const fields = rule?.startsWith('{') ? rule.slice(1, -1).trim() : rule;
  const rules = `[{ backendRefs: [{ name: a }]${fields === '' ? '' : `, ${fields}`} }]`;
  const compiled = compileYaml(serviceYaml('a') + httpRouteYaml('a', 'name: a', rules));
  const { retry_policy: policy, timeout, max_stream_duration: stream } = routesOf(compiled, 'a.default:80')[0].route;
  expect([policy?.retry_on ?? '', String(policy?.num_retries?.value ?? ''), shown(policy?.per_try_timeout)]).toEqual([
    on,
    retries,
    perTry,
  ]);
  expect([shown(timeout), shown(stream?.max_stream_duration)]).toEqual([whole, whole]);
});

test('every kind that is not there yet is named', () => {
  const refused = doc.split('## What is refused')[1]?.split('\n## ')[0] ?? '';
  const listed = refused.split('does not have:')[1]?.split('\n- ')[0] ?? '';
  expect([...listed.matchAll(/`(\w+)`/g)].map(([, kind]) => kind)).toEqual([...LATER_KINDS]);
});

test('the limits of files are those of the code', () => {
  const sentence = /At most ([\d,]+) files and (\d+) MiB together, (\d+) Mi characters and\n([\d,]+) documents/.exec(
    doc,
  );
  const [files, mib, chars, documents] = (sentence ?? []).slice(1).map((text) => Number(text.replace(',', '')));
  expect([files, documents]).toEqual([
    constantOf('src/controlplane/files/read.ts', 'MAX_FILES'),
    constantOf('src/controlplane/yaml/parse.ts', 'MAX_DOCUMENTS'),
  ]);
  expect(constantOf('src/controlplane/files/read.ts', 'MAX_TOTAL_BYTES')).toBe((mib as number) * 2 ** 20);
  expect(constantOf('src/controlplane/yaml/parse.ts', 'MAX_FILE_CHARS')).toBe((chars as number) * 2 ** 20);
  expect(doc).toContain(
    `(up to ${Number(constantOf('src/controlplane/yaml/problem.ts', 'MAX_PROBLEMS')).toLocaleString('en')})`,
  );
});

/** `{ seconds, nanos }` as the YAML writes it. */
function shown(duration: { seconds?: number; nanos?: number } | undefined): string {
  if (duration === undefined) return '';
  const ms = (duration.seconds ?? 0) * 1_000 + (duration.nanos ?? 0) / 1_000_000;
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}
