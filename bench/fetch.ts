/* Does a call through mesh.fetch cost less than the same call through the built-in fetch? */
import { Pool } from 'undici';
import { meshClient } from '../src/index.js';
import { compareCpu, report } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

const peer = await startPeer('http');
const origin = `http://127.0.0.1:${peer.port}`;
const mesh = meshClient({ service: 'bench', services: { reviews: [`127.0.0.1:${peer.port}`] } });
await mesh.ready();
const pool = new Pool(origin, { connections: 16 });

const body = JSON.stringify({ text: 'x'.repeat(1_000) });
const load = { concurrency: 16, perRound: 8_000, rounds: 9 };
report(
  await compareCpu({
    question: 'GET of a small JSON document: the platform’s fetch against the mesh’s, default policies on',
    sides: [
      { name: 'built-in fetch', once: async () => (await fetch(`${origin}/x`)).json() },
      { name: 'mesh.fetch', once: async () => (await mesh.fetch('http://reviews/x')).json() },
      {
        name: 'raw undici Pool.request',
        once: async () => (await pool.request({ method: 'GET', path: '/x' })).body.json(),
      },
    ],
    budgets: { 'mesh.fetch': 0.5 },
    ...load,
  }),
  await compareCpu({
    question: 'POST of 1 KiB of JSON',
    sides: [
      { name: 'built-in fetch', once: async () => (await fetch(`${origin}/x`, { method: 'POST', body })).json() },
      { name: 'mesh.fetch', once: async () => (await mesh.fetch('http://reviews/x', { method: 'POST', body })).json() },
    ],
    budgets: { 'mesh.fetch': 0.5 },
    ...load,
  }),
);

await mesh.close();
await pool.close();
peer.stop();
