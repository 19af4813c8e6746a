import { defineConfig } from 'tsup';

/** What `exports` in package.json names; the command is ESM only and has no types. */
const entry = {
  index: 'src/index.ts',
  register: 'src/register.ts',
  controlplane: 'src/controlplane/index.ts',
  proxy: 'src/proxy/index.ts',
  testing: 'src/testing/index.ts',
  express: 'src/server/express.ts',
  fastify: 'src/server/fastify.ts',
};

const common = {
  target: 'node20.19',
  platform: 'node',
  // Entry points share what they have in common, so that an error class or a symbol exists once in a process, and what only
  // import() reaches stays in a file of its own until then.
  splitting: true,
  outDir: 'dist',
} as const;

export default defineConfig([
  { ...common, entry: { ...entry, cli: 'src/cli/main.ts' }, format: 'esm', dts: { entry }, clean: true },
  // shims: import.meta.url exists in CommonJS too. dts is emitted once per format.
  { ...common, entry, format: 'cjs', dts: { entry }, shims: true },
]);
