// node examples/deadlines/grpc.mjs
//
// A grpc-js service that calls another: the deadline of its caller goes along, and when the caller cancels, so is what was called for it.
import { loadPackageDefinition, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { meshClient } from 'inmesh';
import { meshServerInterceptor } from 'inmesh/grpc';
import { serveHttp } from '../support/serve.mjs';

const { Reviews } = loadPackageDefinition(loadSync(`${import.meta.dirname}/../grpc/reviews.proto`)).reviews;

let arrived;
const stars = await serveHttp(({ headers }, response) => {
  console.log(
    `stars: ${headers['inmesh-priority']}, ${headers['inmesh-timeout-ms'] <= 4_995 ? 'less than 5 s' : 'no deadline'}`,
  );
  response.once('close', () => console.log('stars: nobody waits any more'));
  arrived();
});

const mesh = meshClient({ services: { stars: [stars.address] } });
const server = new Server({ interceptors: [meshServerInterceptor({ mesh })] });
server.addService(Reviews.service, {
  get: (call, callback) =>
    mesh.fetch(`http://stars/${call.request.id}`).then(
      async (reply) => callback(null, { text: await reply.text() }),
      (error) => {
        console.log(`reviews: ${error.code}`);
        callback(error);
      },
    ),
});
const port = await new Promise((resolve) =>
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, bound) => resolve(bound)),
);

const customer = meshClient({ services: { reviews: [`127.0.0.1:${port}`] } });
const client = customer.grpc(Reviews, 'reviews');
const metadata = new Metadata();
metadata.set('inmesh-priority', 'batch');
await new Promise((resolve) => {
  const call = client.get({ id: 'hamlet' }, metadata, { deadline: Date.now() + 5_000 }, (error) => {
    console.log(`customer: ${error.details}`);
    stars.close();
    resolve();
  });
  arrived = () => call.cancel();
});

await customer.close();
await new Promise((resolve) => server.tryShutdown(resolve));
await mesh.close();
