import { describe, expect, test } from 'vitest';
import { compileText } from '../../../src/controlplane/config.js';
import { MAX_FILE_CHARS } from '../../../src/controlplane/yaml/parse.js';
import { compileYaml, listenersOf, problemsOf, serviceYaml } from '../../support/mesh-yaml.js';

describe('text', () => {
  test('JSON is YAML', () => {
    const json = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'a' },
      spec: { endpoints: ['10.0.0.1:1'] },
    });
    expect(listenersOf(compileYaml(json))).toContain('a');
  });

  test('a byte order mark, CRLF, comments, directives and empty documents are nothing', () => {
    expect(
      listenersOf(compileYaml(`\ufeff# hello\r\n---\r\n---\r\n${serviceYaml('a').replaceAll('\n', '\r\n')}...\r\n`)),
    ).toContain('a');
    expect(listenersOf(compileYaml(''))).toEqual([]);
  });

  test('the items of a List are resources, with places of their own', () => {
    const list = `apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Service, metadata: { name: a }, spec: { endpoints: ["10.0.0.1:1"] } }
  - { apiVersion: v1, kind: Service, metadata: { name: b }, spec: { endpoint: [] } }
`;
    expect(problemsOf(list)).toEqual([
      'mesh.yaml:5:69 Service/b spec.endpoint: unknown field; did you mean "endpoints"?',
    ]);
  });

  test('anchors and aliases work, and mistakes behind them have a place', () => {
    const text = `x-shared: &e ["10.0.0.1:1"]`;
    expect(problemsOf(text)[0]).toContain('resource kind: is missing');
    expect(
      listenersOf(
        compileYaml(serviceYaml('a', 'endpoints: [&x "10.0.0.1:1", { address: "10.0.0.2:1", labels: { from: *x } }]')),
      ),
    ).toContain('a');
    expect(problemsOf(serviceYaml('a', 'endpoints: &x [], ports: *y'))[0]).toMatch(
      /^mesh\.yaml:\d+:\d+: is not YAML|cannot be read/,
    );
  });

  test('a bomb of aliases is refused', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) =>
        `l${i}: &l${i} [${
          i === 0
            ? '"x"'
            : Array(10)
                .fill(`*l${i - 1}`)
                .join(', ')
        }]`,
    );
    expect(problemsOf(levels.join('\n'))[0]).toMatch(/cannot be read: Excessive alias count/);
  });

  test('a text nested without end is refused', () => {
    for (const text of [
      '['.repeat(50_000),
      '{a: '.repeat(20_000),
      Array.from({ length: 5_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    ]) {
      expect(problemsOf(text).length).toBeGreaterThan(0);
    }
  });

  test('a text that is too long is not read', () => {
    expect(problemsOf('#'.repeat(MAX_FILE_CHARS + 1))).toEqual([
      `mesh.yaml:1:1: is ${MAX_FILE_CHARS + 1} characters long; at most ${MAX_FILE_CHARS} are read: split it`,
    ]);
  });

  test('names of JavaScript are names like any other', () => {
    const text = serviceYaml(
      'a',
      '__proto__: 1, constructor: 2, toString: 3, endpoints: [{ address: "10.0.0.1:1", labels: { __proto__: x } }]',
    );
    expect(problemsOf(text).map((line) => line.split(' ').slice(2, 5).join(' '))).toEqual([
      'spec.__proto__: unknown field;',
      'spec.constructor: unknown field;',
      'spec.toString: unknown field;',
    ]);
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
  });

  test('a mistake in one document leaves the others to be checked', () => {
    const text = `${serviceYaml('a', 'endpoint: 1')}---\na: [\n${serviceYaml('b', 'endpoint: 1')}`;
    const result = compileText([{ name: 'x', text }]);
    expect(result.problems.map(({ resource }) => resource)).toContain('Service/a');
    expect(result.resources['type.googleapis.com/envoy.config.cluster.v3.Cluster'].size).toBe(0);
  });
});
