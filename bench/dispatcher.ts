/* What does the mesh cost a program that uses undici itself: mesh.dispatcher beside a bare Agent? */
import { Agent, request } from 'undici';
import { meshClient } from '../src/index.js';
import { compareCpu, report } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

report(
  await compareCpu({
    question: 'GET of a small JSON document by undici.request',
    sides: [
      {
        name: 'bare undici Agent',
        open: async () => {
          const peer = await startPeer('http');
          const dispatcher = new Agent({ connections: 16 });
          const url = `http://127.0.0.1:${peer.port}/x`;
          return {
            once: async () => (await request(url, { dispatcher })).body.json(),
            close: async () => {
              await dispatcher.close();
              peer.stop();
            },
          };
        },
      },
      {
        name: 'mesh.dispatcher',
        open: async () => {
          const peer = await startPeer('http');
          const mesh = meshClient({ service: 'bench', services: { reviews: [`127.0.0.1:${peer.port}`] } });
          const { dispatcher } = mesh;
          return {
            once: async () => (await request('http://reviews/x', { dispatcher })).body.json(),
            close: async () => {
              await mesh.close();
              peer.stop();
            },
          };
        },
      },
    ],
    budgets: { 'mesh.dispatcher': 1.1 },
    concurrency: 16,
    perRun: 20_000,
    runs: 7,
  }),
);
