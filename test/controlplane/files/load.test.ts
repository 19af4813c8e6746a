import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/controlplane/config.js';
import { listenersOf, serviceYaml } from '../../support/mesh-yaml.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-load-'));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (name: string, text: string | Uint8Array): Promise<void> => writeFile(join(folder, name), text);
const bare = (names: readonly string[]): string[] => names.filter((name) => !/[.:]/.test(name));
const problemsOf = async (...paths: string[]): Promise<string[]> =>
  (await loadConfig(paths)).problems.map(({ file, message }) => `${file.replace(folder, 'DIR')}: ${message}`);

describe('configuration is loaded', () => {
  test('from one file, from several, and from the yaml, yml and json files of a folder', async () => {
    await write('a.yaml', serviceYaml('a'));
    await write('b.yml', serviceYaml('b'));
    await write('c.json', JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'c' } }));
    await write('notes.txt', 'not: [read');
    await write('.hidden.yaml', 'not: [read');
    await mkdir(join(folder, 'deeper.yaml'));
    expect(bare(listenersOf(await loadConfig(join(folder, 'a.yaml'))))).toEqual(['a']);
    expect(bare(listenersOf(await loadConfig([join(folder, 'a.yaml'), join(folder, 'b.yml')])))).toEqual(['a', 'b']);
    expect(bare(listenersOf(await loadConfig(folder)))).toEqual(['a', 'b', 'c']);
    // A file that is named and also in a folder that is named is read once.
    expect(bare(listenersOf(await loadConfig([folder, join(folder, 'a.yaml')])))).toEqual(['a', 'b', 'c']);
  });

  test('through links, as Kubernetes mounts a ConfigMap', async () => {
    await mkdir(join(folder, '..2026'));
    await writeFile(join(folder, '..2026', 'a.yaml'), serviceYaml('a'));
    await symlink('..2026', join(folder, '..data'));
    await symlink(join('..data', 'a.yaml'), join(folder, 'a.yaml'));
    expect(bare(listenersOf(await loadConfig(folder)))).toEqual(['a']);
  });

  test('and routes in one file find Services in another', async () => {
    await write(
      '1.yaml',
      'apiVersion: inmesh.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: { name: p }\nspec: { targetRefs: [{ name: a }] }',
    );
    await write('2.yaml', serviceYaml('a'));
    expect((await loadConfig(folder)).problems).toEqual([]);
  });

  test('or every reason is told why not', async () => {
    await write('latin.yaml', Uint8Array.of(0x61, 0xff));
    await symlink('nowhere', join(folder, 'lost.yaml'));
    await write('wrong.yaml', serviceYaml('a', 'endpoint: 1'));
    expect(await problemsOf(folder, join(folder, 'gone'))).toEqual([
      'DIR/gone: there is no such file or folder',
      'DIR/latin.yaml: is not UTF-8 text',
      'DIR/lost.yaml: there is no such file or folder',
      'DIR/wrong.yaml: unknown field; did you mean "endpoints"?',
    ]);
  });

  test('but not from a folder without files, nor from what is no file', async () => {
    expect(await problemsOf(folder)).toEqual(['DIR: has no *.yaml, *.yml or *.json file']);
    expect(await problemsOf('/dev/null')).toEqual(['/dev/null: is neither a file nor a folder']);
  });
});
