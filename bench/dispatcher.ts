/* What does the mesh cost a program that uses undici itself: mesh.dispatcher beside a bare Agent? */
import { Agent, request } from 'undici';
import { meshClient } from '../src/index.js';
import { compareCpu, report } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

const peer = await startPeer('http');
const origin = `http://127.0.0.1:${peer.port}`;
const mesh = meshClient({ service: 'bench', services: { reviews: [`127.0.0.1:${peer.port}`] } });
await mesh.ready();
const agent = new Agent({ connections: 16 });
const { dispatcher } = mesh;

report(
  await compareCpu({
    question: 'GET of a small JSON document by undici.request',
    sides: [
      { name: 'bare undici Agent', once: async () => (await request(`${origin}/x`, { dispatcher: agent })).body.json() },
      { name: 'mesh.dispatcher', once: async () => (await request('http://reviews/x', { dispatcher })).body.json() },
    ],
    budgets: { 'mesh.dispatcher': 1.1 },
    concurrency: 16,
    perRound: 8_000,
    rounds: 9,
  }),
);

await mesh.close();
await agent.close();
peer.stop();
