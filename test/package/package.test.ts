import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LAZY } from '../../lint/layers.mjs';

const project = join(import.meta.dirname, '..', '..');
const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
const entries = Object.keys(manifest.exports).filter((name) => typeof manifest.exports[name] === 'object');

let folder: string;

/** Runs a program in a project that has inmesh installed, as an application has. */
const runIn = (
  file: string,
  program: string,
  ...flags: string[]
): Promise<{ stdout: string; stderr: string; code: unknown }> => {
  writeFileSync(join(folder, file), program);
  return new Promise((resolve) => {
    execFile(process.execPath, [...flags, file], { cwd: folder }, (error, stdout, stderr) =>
      resolve({ stdout, stderr, code: error?.code ?? 0 }),
    );
  });
};

beforeAll(() => {
  if (!existsSync(join(project, 'dist', 'index.d.cts'))) throw new Error('these tests judge dist/: npm run build');
  folder = mkdtempSync(join(tmpdir(), 'inmesh-package-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(project, join(folder, 'node_modules', 'inmesh'), 'junction');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package', () => {
  test('every file that exports names is there', () => {
    const files = entries.flatMap((name) => {
      const { import: esm, require: cjs } = manifest.exports[name];
      return [esm.types, esm.default, cjs.types, cjs.default];
    });
    expect(files.filter((file) => !existsSync(join(project, file)))).toEqual([]);
  });

  test('every entry point loads by import and by require, with the same exports', async () => {
    const names = entries.filter((name) => name !== './register').map((name) => name.replace('.', 'inmesh'));
    const show = `const shape = (m) => Object.keys(m).filter((k) => k !== 'default' && k !== 'module.exports' && k !== '__esModule').sort();`;
    const esm = await runIn(
      'all.mjs',
      `${show} for (const n of ${JSON.stringify(names)}) console.log(n, shape(await import(n)).join());`,
    );
    const cjs = await runIn(
      'all.cjs',
      `${show} for (const n of ${JSON.stringify(names)}) console.log(n, shape(require(n)).join());`,
    );
    expect(esm.stderr).toBe('');
    expect(cjs.stderr).toBe('');
    expect(esm.stdout.split('\n')).toHaveLength(names.length + 1);
    expect(cjs.stdout).toBe(esm.stdout);
  });

  test('an error is an instance of the same class for every entry point', async () => {
    const program = `const a = require('inmesh'); const b = require('inmesh/testing');
      console.log(typeof a.MeshError, b.MeshError === undefined || a.MeshError === b.MeshError);`;
    expect((await runIn('same.cjs', program)).stdout).toBe('function true\n');
  });

  test('requiring inmesh loads no gRPC, protobuf, YAML or other package that a feature brings', async () => {
    const program = `require('inmesh'); require('inmesh/express'); require('inmesh/fastify'); require('inmesh/hono');
      console.log(JSON.stringify(Object.keys(require.cache)));`;
    const { stdout, stderr } = await runIn('light.cjs', program);
    expect(stderr).toBe('');
    const loaded: string[] = JSON.parse(stdout);
    expect(loaded.some((file) => file.includes('index.cjs'))).toBe(true);
    const heavy = LAZY.packages.filter((name) => loaded.some((file) => file.includes(join('node_modules', name, '/'))));
    expect(heavy).toEqual([]);
  });

  test('a program that imports inmesh and does nothing ends by itself', async () => {
    expect(await runIn('idle.mjs', `import 'inmesh';`)).toEqual({ stdout: '', stderr: '', code: 0 });
  });

  describe('a regular expression in the configuration is compiled', () => {
    const CONFIG = `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["127.0.0.1:9001"] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules: [{ matches: [{ path: { type: RegularExpression, value: "/a[0-9]+/(b|c)" } }], backendRefs: [{ name: reviews }] }]
`;
    const program = (load: string): string =>
      `${load}.then(async ({ meshClient }) => {
        const mesh = meshClient({ config: 'regex.yaml' });
        await mesh.ready();
        console.log('ready');
        await mesh.close();
      });`;
    beforeAll(() => writeFileSync(join(folder, 'regex.yaml'), CONFIG));

    test.each([
      ['import', `import('inmesh')`],
      ['require', `Promise.resolve(require('inmesh'))`],
    ])('under node -e, by %s', (_name, load) => {
      const { stdout, stderr } = spawnSync(process.execPath, ['-e', program(load)], { cwd: folder, encoding: 'utf8' });
      expect({ stdout, stderr }).toEqual({ stdout: 'ready\n', stderr: '' });
    });

    test.each(['cjs', 'esm'] as const)(
      'in an application that is bundled as %s, where there is no node_modules',
      async (format) => {
        const alone = mkdtempSync(join(tmpdir(), 'inmesh-bundle-'));
        try {
          writeFileSync(join(alone, 'regex.yaml'), CONFIG);
          const outfile = join(alone, format === 'cjs' ? 'app.cjs' : 'app.mjs');
          await build({
            stdin: {
              contents: `import * as inmesh from 'inmesh'; ${program('Promise.resolve(inmesh)')}`,
              resolveDir: folder,
            },
            bundle: true,
            platform: 'node',
            format,
            outfile,
            logLevel: 'silent',
            external: ['@opentelemetry/api'],
            // What esbuild's own documentation has for CommonJS dependencies in an ES module.
            banner:
              format === 'cjs'
                ? {}
                : {
                    js: `import { createRequire as of } from 'node:module'; const require = of(import.meta.url);`,
                  },
          });
          const { stdout, stderr } = spawnSync(process.execPath, [outfile], { cwd: alone, encoding: 'utf8' });
          expect({ stdout, stderr }).toEqual({ stdout: 'ready\n', stderr: '' });
        } finally {
          rmSync(alone, { recursive: true, force: true });
        }
      },
    );
  });

  test('the command says its version', () => {
    const { stdout, status } = spawnSync(process.execPath, [join(project, manifest.bin.inmesh), '--version'], {
      encoding: 'utf8',
    });
    expect(stdout.trim()).toBe(manifest.version);
    expect(status).toBe(0);
  });

  test('every run-time dependency is used by the library, and nothing else is', () => {
    const imports = join(project, 'lint', 'imports.mjs');
    const { stdout } = spawnSync(process.execPath, [imports, project, '--packages'], { encoding: 'utf8' });
    const declared = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)];
    expect(stdout.trim().split('\n')).toEqual(declared.sort());
  });

  test('what the lockfile has for development and use runs on the oldest Node that the manifest names', () => {
    const oldest = Number(/^>=(\d+)/.exec(manifest.engines.node)?.[1]);
    const { packages } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
    const younger = Object.entries<{ engines?: { node?: string } }>(packages).filter(
      ([, { engines }]) => Number(/^>= ?(\d+)[\d.]*$/.exec(engines?.node ?? '')?.[1] ?? 0) > oldest,
    );
    expect(younger.map(([path]) => path)).toEqual([]);
  });

  test('the lockfile names no host, so that npm ci takes whatever registry is configured', () => {
    const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
    const packages: [string, { resolved?: string }][] = Object.entries(lock.packages);
    expect(packages.filter(([, entry]) => entry.resolved !== undefined).map(([name]) => name)).toEqual([]);
  });
});
