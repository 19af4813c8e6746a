import { meshClient } from '../../../src/index.js';

/* A program that makes one call through a mesh, whose control plane is at the given address, and never closes the mesh. */
const mesh = meshClient({ xds: process.argv[2] as string });
await mesh.fetch('http://orders/').then(
  () => process.stdout.write('answered'),
  ({ cause }: Error) => process.stdout.write(`failed: ${(cause as Error).message}`),
);
