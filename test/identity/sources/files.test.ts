import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { IdentitySource } from '../../../src/core/identity.js';
import { writeBundle } from '../../../src/identity/bundle.js';
import { fileIdentity, type FileIdentityOptions } from '../../../src/identity/sources/files.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type Issued, testCa, writeIdentity } from '../../support/pki.js';
import { identitySourceContract, recorder } from '../source-contract.js';

const folders: string[] = [];
const sources: IdentitySource[] = [];

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'inmesh-files-'));
  folders.push(made);
  return made;
}

afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** A source whose time is the test's; reading is real. */
function open(options: FileIdentityOptions): {
  source: IdentitySource;
  clock: FakeClock;
  until: (holds: () => boolean) => Promise<void>;
} {
  const clock = new FakeClock();
  const source = fileIdentity(options, { clock });
  sources.push(source);
  return {
    source,
    clock,
    async until(holds) {
      for (let i = 0; i < 2000 && !holds(); i++) await turn(clock);
      expect(holds()).toBe(true);
    },
  };
}

/** Lets the source's reads, which are as real as this one, come in, and 60 ms of its time go by. */
async function turn(clock: FakeClock): Promise<void> {
  await stat(tmpdir());
  await clock.advance(60);
}

const ca = testCa();
const at = (path: string) => ({
  certificate: join(path, 'cert.pem'),
  privateKey: join(path, 'key.pem'),
  roots: join(path, 'roots.pem'),
});

describe('identity in files', () => {
  describe('the contract of a source', () => {
    identitySourceContract(async () => {
      const path = folder();
      const { source, clock } = open(at(path));
      return {
        source,
        give(issued: Issued, root: string) {
          writeIdentity(path, issued, { ...ca, root });
        },
        trouble: () => writeFileSync(join(path, 'cert.pem'), 'not a certificate'),
        wait: () => turn(clock),
        async end() {
          expect(clock.pending).toBe(0);
        },
      };
    });
  });

  test('a new key without its certificate changes nothing; both together do', async () => {
    const path = folder();
    const [one, two] = [ca.issue(), ca.issue()];
    writeIdentity(path, one, ca);
    const { source, until } = open(at(path));
    const watcher = recorder();
    source.watch(watcher);
    await until(() => watcher.states.length === 1);
    writeFileSync(join(path, 'key.pem'), two.keyPem);
    await until(() => watcher.errors.length > 0);
    expect(watcher.errors[0]?.message).toMatch(/the private key is not that of the certificate/);
    expect(source.current?.identity?.certificates).toEqual(one.certificates);
    writeFileSync(join(path, 'cert.pem'), two.chainPem);
    await until(() => watcher.states.length === 2);
    expect(source.current?.identity?.certificates).toEqual(two.certificates);
  });

  test('half of a file, seen once, is not even trouble', async () => {
    const path = folder();
    const [one, two] = [ca.issue(), ca.issue()];
    writeIdentity(path, one, ca);
    const { source, clock, until } = open(at(path));
    const watcher = recorder();
    source.watch(watcher);
    await until(() => watcher.states.length === 1);
    writeFileSync(join(path, 'key.pem'), two.keyPem);
    writeFileSync(join(path, 'cert.pem'), two.chainPem.slice(0, 200));
    for (let i = 0; i < 100; i++) await stat(path);
    await clock.advance(100);
    for (let i = 0; i < 100; i++) await stat(path);
    writeFileSync(join(path, 'cert.pem'), two.chainPem);
    await until(() => watcher.states.length === 2);
    expect(watcher.errors).toEqual([]);
  });

  test('new roots are taken while certificate and key do not fit: each part is for itself', async () => {
    const path = folder();
    const next = testCa();
    writeIdentity(path, ca.issue(), ca);
    const { source, until } = open(at(path));
    await until(() => source.current !== undefined);
    const before = source.current?.identity;
    writeFileSync(join(path, 'key.pem'), ca.issue().keyPem);
    writeFileSync(join(path, 'roots.pem'), ca.root + next.root);
    await until(
      () => source.current?.identity !== undefined && source.current.identity === before && trusted(source) === 2,
    );
    expect(source.current?.trust).toEqual({ kind: 'roots', certificates: [ca.root, next.root] });
  });

  test("Kubernetes' links are followed: all files of a volume change at once", async () => {
    const path = folder();
    const version = (name: string, issued: Issued): void => {
      mkdirSync(join(path, name));
      writeIdentity(join(path, name), issued, ca);
      symlinkSync(name, join(path, '..data_tmp'));
      renameSync(join(path, '..data_tmp'), join(path, '..data'));
    };
    const [one, two] = [ca.issue(), ca.issue()];
    version('..1', one);
    for (const name of ['cert.pem', 'key.pem', 'roots.pem']) symlinkSync(join('..data', name), join(path, name));
    const { source, until } = open(at(path));
    await until(() => source.current?.identity?.certificates[0] === one.certificates[0]);
    version('..2', two);
    await until(() => source.current?.identity?.certificates[0] === two.certificates[0]);
  });

  test('files that are not there yet are waited for, and told of meanwhile', async () => {
    const path = join(folder(), 'later');
    const { source, until } = open(at(path));
    const watcher = recorder();
    source.watch(watcher);
    await until(() => watcher.errors.length > 0);
    expect(watcher.errors[0]?.message).toMatch(/cert\.pem: there is no such file/);
    expect(source.current).toBeUndefined();
    mkdirSync(path);
    writeIdentity(path, ca.issue(), ca);
    await until(() => watcher.states.length === 1);
  });

  test('nothing is told of until all parts are there', async () => {
    const path = folder();
    writeFileSync(join(path, 'roots.pem'), ca.root);
    const { source, until } = open(at(path));
    const watcher = recorder();
    source.watch(watcher);
    await until(() => watcher.errors.length > 0);
    expect(watcher.states).toEqual([]);
    writeIdentity(path, ca.issue(), ca);
    await until(() => watcher.states.length === 1);
  });

  test('roots of a trust domain vouch for its names only', async () => {
    const path = folder();
    writeFileSync(join(path, 'roots.pem'), ca.root);
    const { source, until } = open({ roots: join(path, 'roots.pem'), trustDomain: 'cluster.local' });
    await until(() => source.current !== undefined);
    expect(source.current).toEqual({ identity: undefined, trust: ca.trust() });
  });

  test('bundles by trust domain come before roots; a bad map changes nothing (gRFC A87)', async () => {
    const path = folder();
    const other = testCa({ trustDomain: 'other.example' });
    const map = join(path, 'map.json');
    const bundle = (authorities: string[]): unknown =>
      JSON.parse(
        writeBundle({ x509Authorities: authorities, jwtAuthorities: [], sequence: 1, refreshHintMs: undefined }),
      );
    writeFileSync(
      map,
      JSON.stringify({ trust_domains: { 'cluster.local': bundle([ca.root]), 'other.example': bundle([other.root]) } }),
    );
    const { source, until } = open({ spiffeBundleMap: map, roots: join(path, 'none.pem') });
    const watcher = recorder();
    source.watch(watcher);
    await until(() => source.current !== undefined);
    const before = source.current;
    expect(before?.trust).toEqual({
      kind: 'spiffe',
      bundles: new Map([
        ['cluster.local', [ca.root]],
        ['other.example', [other.root]],
      ]),
    });
    writeFileSync(
      map,
      '{"trust_domains": {"cluster.local": {"keys": [{"kty": "EC", "use": "x509-svid", "x5c": ["AAAA"]}]}}}',
    );
    await until(() => watcher.errors.length > 0);
    expect(watcher.errors[0]?.message).toMatch(
      /map\.json: bundles\.trust_domains\.cluster\.local\.keys\[0\]\.x5c\[0\]: certificate/,
    );
    expect(source.current).toBe(before);
    writeFileSync(map, '{"trust_domains": {}}');
    await until(() => source.current !== before);
    expect(source.current?.trust).toEqual({ kind: 'spiffe', bundles: new Map() });
  });

  test('revocation lists are read beside', async () => {
    const path = folder();
    const crls = join(path, 'crls.pem');
    writeFileSync(join(path, 'roots.pem'), ca.root);
    writeFileSync(crls, ca.crl([ca.issue().serial]));
    const { source, until } = open({ roots: join(path, 'roots.pem'), crls });
    await until(() => source.current !== undefined);
    expect(source.current?.crls).toHaveLength(1);
  });

  test('where no notice comes, files are read at the refresh interval', async () => {
    const path = folder();
    const [one, two] = [ca.issue(), ca.issue()];
    writeIdentity(path, one, ca);
    const { source, clock, until } = open({ ...at(path), refreshIntervalMs: 5_000 });
    await until(() => source.current !== undefined);
    writeIdentity(path, two, ca);
    await clock.advance(5_000);
    await until(() => source.current?.identity?.certificates[0] === two.certificates[0]);
  });

  test.each<[FileIdentityOptions, RegExp]>([
    [{ certificate: 'a.pem' }, /^certificate: certificate and privateKey go together/],
    [{ privateKey: 'a.pem' }, /^privateKey: certificate and privateKey go together/],
    [{}, /names no files/],
    [{ crls: 'a.pem' }, /names no files/],
    [{ roots: 'a.pem', trustDomain: 'Not One' }, /^trustDomain: /],
  ])('options that make no source are refused: %j', (options, message) => {
    expect(() => fileIdentity(options, { clock: new FakeClock() })).toThrow(message);
  });
});

const trusted = ({ current }: IdentitySource): number =>
  current?.trust?.kind === 'roots' ? current.trust.certificates.length : 0;
