/* Does a call through mesh.fetch cost less than the same call through the built-in fetch? */
import { Pool } from 'undici';
import { meshClient } from '../src/index.js';
import { compareCpu, report, type Side } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

const body = JSON.stringify({ text: 'x'.repeat(1_000) });
const load = { concurrency: 16, perRun: 15_000, runs: 7, budgets: { 'mesh.fetch': 0.5 } };

const builtIn = (init?: RequestInit): Side => ({
  name: 'built-in fetch',
  open: async () => {
    const peer = await startPeer('http');
    const url = `http://127.0.0.1:${peer.port}/x`;
    return { once: async () => (await fetch(url, init)).json(), close: peer.stop };
  },
});

const ours = (init?: { method: string; body: string }): Side => ({
  name: 'mesh.fetch',
  open: async () => {
    const peer = await startPeer('http');
    const mesh = meshClient({ service: 'bench', services: { reviews: [`127.0.0.1:${peer.port}`] } });
    return {
      once: async () => (await mesh.fetch('http://reviews/x', init)).json(),
      close: async () => {
        await mesh.close();
        peer.stop();
      },
    };
  },
});

const raw: Side = {
  name: 'raw undici Pool.request',
  open: async () => {
    const peer = await startPeer('http');
    const pool = new Pool(`http://127.0.0.1:${peer.port}`, { connections: 16 });
    return {
      once: async () => (await pool.request({ method: 'GET', path: '/x' })).body.json(),
      close: async () => {
        await pool.close();
        peer.stop();
      },
    };
  },
};

report(
  await compareCpu({
    question: 'GET of a small JSON document: the platform’s fetch against the mesh’s, default policies on',
    sides: [builtIn(), ours(), raw],
    ...load,
  }),
  await compareCpu({
    question: 'POST of 1 KiB of JSON',
    sides: [builtIn({ method: 'POST', body }), ours({ method: 'POST', body })],
    ...load,
  }),
);
