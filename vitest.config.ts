import { defineConfig } from 'vitest/config';

/**
 * Tests that look at what a process has one of (global names, handles, warnings, modules not loaded yet), or start much of their own: a process for each file.
 * All others share one for each worker, so that what they import is loaded once.
 */
const OWN_PROCESS = [
  'test/{docs,examples,package,testing}/**/*.test.ts',
  'test/e2e/lifecycle/*.test.ts',
  'test/e2e/status-codes.test.ts',
  'test/client/fetch/*.test.ts',
  'test/identity/no-leak.test.ts',
  'test/resilience/breaker/breaker.test.ts',
  'test/resilience/ratelimit/redis/not-installed.test.ts',
  'test/server/answered.test.ts',
  'test/server/tls/grpc-ends.test.ts',
  'test/xds/client/{exit,failures}.test.ts',
];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // More than a small machine has processors: many tests wait for another process.
    maxWorkers: 4,
    coverage: { include: ['src/**'], exclude: ['src/xds/gen/**'] },
    projects: [
      {
        extends: true,
        test: { name: 'shared', isolate: false, include: ['test/**/*.test.ts'], exclude: OWN_PROCESS },
      },
      { extends: true, test: { name: 'own process', include: OWN_PROCESS } },
    ],
  },
});
