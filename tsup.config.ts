import { transform } from 'esbuild';
import { defineConfig, type Options } from 'tsup';

/** What `exports` in package.json names; the command is ESM only and has no types. */
const entry = {
  index: 'src/index.ts',
  register: 'src/register.ts',
  controlplane: 'src/controlplane/index.ts',
  proxy: 'src/proxy/index.ts',
  testing: 'src/testing/index.ts',
  express: 'src/server/express.ts',
  fastify: 'src/server/fastify.ts',
  hono: 'src/server/hono.ts',
  grpc: 'src/grpc.ts',
  spiffe: 'src/spiffe.ts',
};

const common = {
  target: 'node20.19',
  platform: 'node',
  format: 'esm',
  // Entry points share what they have in common, so that an error class or a symbol exists once in a process, and what only
  // import() reaches stays in a file of its own until then.
  splitting: true,
  outDir: 'dist',
} satisfies Options;

/**
 * Turns split ES modules into CommonJS, file by file. tsup's own way for split CommonJS goes through sucrase, which rewrites every
 * class field into a method and every call of an import into `.call(void 0, …)`: too slow for a hot path.
 */
const commonjs: NonNullable<Options['plugins']>[number] = {
  name: 'commonjs',
  async renderChunk(source) {
    const { code } = await transform(source, {
      format: 'cjs',
      platform: 'node',
      target: common.target,
      // import() of a CommonJS file becomes a lazy require(), which test runners without an ES module loader know as well.
      supported: { 'dynamic-import': false },
      define: { 'import.meta.url': '__moduleUrl' },
      banner: source.includes('import.meta.url')
        ? 'const __moduleUrl = require("node:url").pathToFileURL(__filename).href;'
        : '',
    });
    return { code };
  },
};

export default defineConfig([
  { ...common, entry: { ...entry, cli: 'src/cli/main.ts' } },
  {
    ...common,
    entry,
    outExtension: () => ({ js: '.cjs' }),
    plugins: [commonjs],
    // There is no CommonJS of these two: what cannot load ES modules by require() (test runners, bundlers) gets a copy.
    noExternal: ['p-retry', 'is-network-error'],
  },
  { ...common, entry, format: ['esm', 'cjs'], dts: { only: true } },
]);
