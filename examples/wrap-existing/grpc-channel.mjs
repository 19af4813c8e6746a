// node examples/wrap-existing/grpc-channel.mjs
//
// A gRPC client that the application constructs itself, perhaps deep in a library that takes client options: only its channel changes.
import { promisify } from 'node:util';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { meshClient } from 'inmesh';
import { serveGrpc } from '../support/serve.mjs';

const { Reviews } = loadPackageDefinition(loadSync(`${import.meta.dirname}/../grpc/reviews.proto`)).reviews;
const server = await serveGrpc(Reviews.service, {
  get: (call, callback) => callback(null, { text: `a review of ${call.request.id}` }),
});
const mesh = meshClient({ services: { reviews: [server.address] } });

const client = new Reviews('reviews', credentials.createInsecure(), { channelOverride: mesh.channel('reviews') });
console.log((await promisify(client.get.bind(client))({ id: 'othello' })).text);

client.close();
await mesh.close();
server.close();
