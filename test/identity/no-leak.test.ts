import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { type Mesh, meshClient } from '../../src/index.js';
import { systemClock } from '../../src/core/clock.js';
import { certificateRequest } from '../../src/identity/csr.js';
import { fileIdentity } from '../../src/identity/sources/files.js';
import { memoryIdentity } from '../../src/identity/sources/memory.js';
import { readIdentity } from '../../src/identity/svid.js';
import { CHANNELS } from '../../src/observability/events.js';
import { badCertificate, type Issued, testCa } from '../support/pki.js';
import { found, foundInMemory, secretsOf } from '../support/secrets.js';
import { recorder } from './source-contract.js';

const ca = testCa();
const folders: string[] = [];
const meshes: Mesh[] = [];
const children: ChildProcess[] = [];

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'inmesh-no-leak-'));
  folders.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(meshes.splice(0).map((mesh) => mesh.close()));
  for (const child of children.splice(0)) {
    child.kill();
    await once(child, 'exit');
  }
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** As a source has it: without the PEM that the PKI of the tests keeps. */
const own = (issued: Issued) => readIdentity({ certificates: issued.chainPem, privateKey: issued.keyPem });

/** A server in a process of its own, which asks for certificates and answers with what it was sent. It is told its own key over its standard input. */
const SERVER = `
const { createServer } = require('node:https');
let text = '';
process.stdin.on('data', (part) => { text += part; }).on('end', () => {
  const server = createServer({ ...JSON.parse(text), requestCert: true }, (request, response) => request.pipe(response));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
});`;

async function serverProcess(identity: Issued): Promise<{ port: number; pid: number }> {
  const child = spawn(process.execPath, ['-e', SERVER], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  child.stdin?.end(JSON.stringify({ cert: identity.chainPem, key: identity.keyPem, ca: ca.root }));
  const [port] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { port: Number(port), pid: child.pid as number };
}

function meshYaml(path: string, port: number): string {
  const file = join(path, 'mesh.yaml');
  const kinds = [
    { apiVersion: 'inmesh.dev/v1alpha1', kind: 'MeshConfig', metadata: { name: 'mesh' }, spec: { mtls: 'strict' } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { ports: [{ port: 80 }], endpoints: [`127.0.0.1:${port}`] },
    },
  ];
  writeFileSync(file, kinds.map((kind) => JSON.stringify(kind)).join('\n---\n'));
  return file;
}

/** All that a mesh says, shows and publishes. */
function listening(): { logger: object; said: string[]; stop: () => void } {
  const said: string[] = [];
  const say = (...parts: unknown[]): void => void said.push(inspect(parts, SHOW_ALL));
  const listen = (message: unknown, name: string | symbol): void => say(name, message);
  for (const name of CHANNELS) subscribe(name, listen);
  return {
    logger: { debug: say, info: say, warn: say, error: say },
    said,
    stop: () => {
      for (const name of CHANNELS) unsubscribe(name, listen);
    },
  };
}

const SHOW_ALL = { depth: 12, showHidden: true, maxArrayLength: null, maxStringLength: null } as const;

describe('private keys stay where they are', () => {
  test('the search finds keys, in each of their forms', () => {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const secrets = secretsOf(key);
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(found(secrets, pem)).toContain('a line of its PEM');
    expect(found(secrets, inspect(der, SHOW_ALL))).toContain('the PKCS#8 key as Node shows bytes');
    expect(found(secrets, JSON.stringify([...der]))).toContain('the PKCS#8 key as a list of numbers');
    expect(found(secrets, JSON.stringify(key.export({ format: 'jwk' })))).toContain('the secret number in base64url');
    expect(found(secrets, inspect(key, SHOW_ALL))).toEqual([]);
  });

  test("a mesh's key is in no log, event, metric, dump or error, and not in the memory of the process that it talks to", async () => {
    const [client, server] = [ca.issue({ name: 'client' }), ca.issue({ name: 'web' })];
    const { port, pid } = await serverProcess(server);
    const source = memoryIdentity({ identity: own(client), trust: ca.trust() });
    const { logger, said, stop } = listening();
    const mesh = meshClient({
      config: meshYaml(folder(), port),
      identity: { source },
      logger: logger as never,
      accessLog: (line: string) => void said.push(line),
    });
    meshes.push(mesh);
    const csr = certificateRequest(client.privateKey, { spiffeId: client.spiffeId });
    const reply = await mesh.fetch('http://web/', { method: 'POST', body: csr });
    expect(await reply.text()).toBe(csr);

    // Whoever is at the other end is somebody else now: errors, with all of their causes.
    const other = await serverProcess(badCertificate('wrong_san', ca, { name: 'web' }));
    const failing = meshClient({
      config: meshYaml(folder(), other.port),
      identity: { source: memoryIdentity(source.current) },
      logger: logger as never,
    });
    meshes.push(failing);
    const error = await failing.fetch('http://web/').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    source.set({ identity: own(ca.issue({ name: 'client' })), trust: ca.trust() });

    const outputs = {
      said: said.join('\n'),
      metrics: mesh.prometheus(),
      dump: JSON.stringify(await mesh.configDump()),
      identity: JSON.stringify(mesh.identity()),
      error: inspect(error, SHOW_ALL) + String((error as Error).stack) + JSON.stringify(error),
      mesh: inspect(mesh, SHOW_ALL),
      source: inspect(source, SHOW_ALL) + inspect(source.current, SHOW_ALL) + JSON.stringify(source.current),
    };
    stop();
    expect(outputs.said).toContain('identity:rotate');
    const secrets = [...secretsOf(client.privateKey), ...secretsOf(source.current?.identity?.privateKey as KeyObject)];
    for (const [name, text] of Object.entries(outputs)) {
      expect({ [name]: found(secrets, text) }).toEqual({ [name]: [] });
      expect(text).not.toMatch(/PRIVATE KEY/);
    }
    const inMemory = foundInMemory(secretsOf(server.privateKey), pid);
    if (inMemory === undefined) return;
    // Its own key is there: the search works.
    expect(inMemory.size).toBeGreaterThan(0);
    expect(foundInMemory(secretsOf(client.privateKey), pid)).toEqual(new Set());
  });

  test('certificate and key that were mistaken for each other are refused without a word of the key', async () => {
    const path = folder();
    const issued = ca.issue();
    const told = recorder();
    const [certificate, privateKey] = [join(path, 'cert.pem'), join(path, 'key.pem')];
    writeFileSync(certificate, issued.keyPem);
    writeFileSync(privateKey, issued.keyPem.replace('MIGH', 'MIG*'));
    const source = fileIdentity(
      { certificate, privateKey, roots: certificate, refreshIntervalMs: 10 },
      { clock: systemClock },
    );
    source.watch(told);
    await expect.poll(() => told.errors.length).toBeGreaterThan(0);
    writeFileSync(certificate, issued.chainPem);
    await expect.poll(() => told.errors.at(-1)?.message).toMatch(/the private key cannot be read/);
    await source.close();
    expect(found(secretsOf(issued.privateKey), inspect(told.errors, SHOW_ALL))).toEqual([]);
  });

  test('an embedded authority keeps its keys in files that only this user can read', async () => {
    const [path, directory] = [folder(), join(folder(), '.inmesh')];
    const { logger, said, stop } = listening();
    const mesh = meshClient({
      config: meshYaml(path, 1),
      service: 'client',
      identity: { directory },
      logger: logger as never,
    });
    meshes.push(mesh);
    await mesh.ready();
    stop();
    const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const withKeys = files.filter((entry) =>
      /PRIVATE KEY/.test(readFileSync(join(entry.parentPath ?? entry.path, entry.name), 'latin1')),
    );
    expect(withKeys.length).toBeGreaterThan(0);
    for (const entry of withKeys) {
      expect(statSync(join(entry.parentPath ?? entry.path, entry.name)).mode & 0o077).toBe(0);
    }
    expect(statSync(directory).mode & 0o077).toBe(0);
    const shown =
      said.join('\n') + mesh.prometheus() + JSON.stringify(await mesh.configDump()) + inspect(mesh, SHOW_ALL);
    expect(shown).not.toMatch(/PRIVATE KEY/);
  });
});
