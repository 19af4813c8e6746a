/**
 * Which folder of `src/` may import which: the table of docs/architecture.md, as data. A folder may always import itself.
 * `import type` counts as well: a layer that knows another's types cannot change without it.
 */
const LIBRARY = [
  'core',
  'routing',
  'resilience',
  'identity',
  'observability',
  'client',
  'server',
  'xds',
  'controlplane',
  'mesh',
];

export const LAYERS = {
  core: [],
  routing: ['core'],
  resilience: ['core'],
  identity: ['core', 'routing'],
  observability: ['core'],
  client: ['core', 'routing', 'resilience', 'identity'],
  server: ['core', 'routing', 'resilience', 'identity'],
  xds: ['core', 'routing', 'identity'],
  controlplane: ['core', 'identity', 'resilience/ratelimit', 'routing/format', 'xds/gen', 'xds/wire'],
  proxy: ['core', 'resilience', 'identity', 'client', 'server'],
  mesh: LIBRARY,
  testing: LIBRARY,
  cli: [...LIBRARY, 'proxy', 'index'],
  // Files directly in src/: the entry points, which wire the folders.
  index: LIBRARY,
  grpc: LIBRARY,
  spiffe: ['core', 'identity'],
  register: [...LIBRARY, 'index'],
};

/** Folders whose own subfolders must not know each other: each policy stands alone. */
export const INDEPENDENT_CHILDREN = ['resilience'];

/**
 * Packages that an application pays for only when it uses what they serve: no chain of static imports from these entry points may
 * reach them. `import()` inside a function may.
 */
export const LAZY = {
  entries: ['index', 'register', 'server/express', 'server/fastify', 'server/hono', 'spiffe'],
  packages: [
    '@grpc/grpc-js',
    '@grpc/proto-loader',
    '@opentelemetry/api',
    '@peculiar/x509',
    'bottleneck',
    'commander',
    'ioredis',
    'jose',
    'opossum',
    'p-retry',
    'protobufjs',
    're2js',
    'reflect-metadata',
    'valibot',
    'yaml',
  ],
};
