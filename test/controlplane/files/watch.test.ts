import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CompileResult, type ConfigWatch, watchConfig } from '../../../src/controlplane/config.js';
import { silentLogger } from '../../../src/core/log.js';
import { FakeClock } from '../../support/fake-clock.js';
import { listenersOf, serviceYaml } from '../../support/mesh-yaml.js';

let folder: string;
let clock: FakeClock;
let watched: ConfigWatch | undefined;
let seen: CompileResult[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-watch-'));
  clock = new FakeClock();
  seen = [];
});
afterEach(() => {
  watched?.close();
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string): string => join(folder, name);
const write = (name: string, text: string): void => writeFileSync(path(name), text);
const start = (paths: string | string[]): void => {
  watched = watchConfig(paths, { onChange: (result) => seen.push(result), clock, logger: silentLogger });
};
/** Bare names of the Services told of last, or the number of mistakes. */
const last = (): string[] | number => {
  const result = seen.at(-1);
  if (result === undefined) return [];
  return result.problems.length > 0 ? result.problems.length : listenersOf(result).filter((name) => !/[.:]/.test(name));
};
/** Lets time pass in steps until `done`: what is read from the disk takes turns of the loop that nobody can count. */
const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await clock.advance(10);
};
/** Lets `ms` pass with as many turns as a reading needs, and more. */
const pass = async (ms: number): Promise<void> => {
  for (let at = 0; at < ms; at += 10) {
    await clock.advance(10);
    for (let turn = 0; turn < 5; turn++) await clock.advance(0);
  }
};

describe('a watched configuration', () => {
  test('is told of at once, and again whenever it differs', async () => {
    write('a.yaml', serviceYaml('a'));
    start(folder);
    await until(() => seen.length === 1);
    expect(last()).toEqual(['a']);
    write('b.yaml', serviceYaml('b'));
    await until(() => seen.length === 2);
    expect(last()).toEqual(['a', 'b']);
    unlinkSync(path('a.yaml'));
    await until(() => seen.length === 3);
    expect(last()).toEqual(['b']);
  });

  test('is followed when an editor puts a new file in the place of the old', async () => {
    write('a.yaml', serviceYaml('a'));
    start(path('a.yaml'));
    await until(() => seen.length === 1);
    for (const name of ['b', 'c']) {
      write('a.yaml~', serviceYaml(name));
      renameSync(path('a.yaml~'), path('a.yaml'));
      await until(() => JSON.stringify(last()) === JSON.stringify([name]));
    }
    expect(seen).toHaveLength(3);
  });

  test('is followed when Kubernetes swaps the link to its data', async () => {
    const version = (name: string): void => {
      mkdirSync(path(`..${name}`));
      write(join(`..${name}`, 'mesh.yaml'), serviceYaml(name));
      symlinkSync(`..${name}`, path('..tmp'));
      renameSync(path('..tmp'), path('..data'));
    };
    version('a');
    symlinkSync(join('..data', 'mesh.yaml'), path('mesh.yaml'));
    start(folder);
    await until(() => seen.length === 1);
    version('b');
    rmSync(path('..a'), { recursive: true });
    await until(() => JSON.stringify(last()) === '["b"]');
    expect(seen).toHaveLength(2);
  });

  test('that breaks is told of with its mistakes, once, and that it is mended', async () => {
    write('a.yaml', serviceYaml('a'));
    start(folder);
    await until(() => seen.length === 1);
    write('a.yaml', serviceYaml('a', 'endpoint: 1'));
    await until(() => seen.length === 2);
    expect(last()).toBe(1);
    await pass(2_000);
    expect(seen).toHaveLength(2);
    write('a.yaml', serviceYaml('a'));
    await until(() => seen.length === 3);
    expect(last()).toEqual(['a']);
  });

  test('that was broken for a moment, like a file half written, is not told of', async () => {
    write('a.yaml', serviceYaml('a'));
    start(folder);
    await until(() => seen.length === 1);
    const text = serviceYaml('b');
    write('a.yaml', text.slice(0, -6));
    await pass(100);
    appendFileSync(path('a.yaml'), text.slice(-6));
    await until(() => seen.length === 2);
    expect(last()).toEqual(['b']);
  });

  test('that is broken from the start is told of at once', async () => {
    start(path('later'));
    await until(() => seen.length === 1);
    expect(last()).toBe(1);
    mkdirSync(path('later'));
    write('later/a.yaml', serviceYaml('a'));
    await until(() => seen.length === 2);
    expect(last()).toEqual(['a']);
  });

  test('that is written anew with the same content is not told of', async () => {
    write('a.yaml', serviceYaml('a'));
    start(folder);
    await until(() => seen.length === 1);
    write('a.yaml', serviceYaml('a'));
    await pass(2_000);
    expect(seen).toHaveLength(1);
  });

  test('is not told of after close, which leaves no timer and no handle', async () => {
    write('a.yaml', serviceYaml('a'));
    const handles = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'FSEvent').length;
    const before = handles();
    start(folder);
    await until(() => seen.length === 1);
    write('b.yaml', serviceYaml('b'));
    watched?.close();
    watched?.close();
    await pass(2_000);
    expect(seen).toHaveLength(1);
    expect(clock.pending).toBe(0);
    expect(handles()).toBe(before);
  });

  test('goes on when the one who is told of it fails', async () => {
    write('a.yaml', serviceYaml('a'));
    const errors: string[] = [];
    const logger = { ...silentLogger, error: (message: string) => errors.push(message) };
    let told = 0;
    watched = watchConfig(folder, {
      clock,
      logger,
      onChange: () => {
        if (++told === 1) throw new Error('not ready');
      },
    });
    await until(() => told === 1);
    write('a.yaml', serviceYaml('b'));
    await until(() => told === 2);
    expect(errors).toEqual(['configuration could not be taken over']);
  });
});
