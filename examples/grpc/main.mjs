// node examples/grpc/main.mjs
//
// gRPC through the mesh: a client class made from a .proto, as any code generator for grpc-js makes one.
import { promisify } from 'node:util';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { meshClient } from 'inmesh';
import { serveGrpc } from '../support/serve.mjs';

const { Reviews } = loadPackageDefinition(loadSync(`${import.meta.dirname}/reviews.proto`)).reviews;

const server = await serveGrpc(Reviews.service, {
  get: (call, callback) => callback(null, { text: `a review of ${call.request.id}`, stars: 4 }),
  list: (call) => {
    for (const stars of [5, 4, 3]) call.write({ text: `a review of ${call.request.id}`, stars });
    call.end();
  },
});

const mesh = meshClient({ services: { reviews: [server.address] } });
const client = mesh.grpc(Reviews, 'reviews');

const review = await promisify(client.get.bind(client))({ id: 'hamlet' });
console.log(review.text, review.stars);

for await (const { stars } of client.list({ id: 'macbeth' }, { deadline: Date.now() + 5_000 }))
  console.log('★'.repeat(stars));

await mesh.close();
server.close();
