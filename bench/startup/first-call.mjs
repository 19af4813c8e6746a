/* One program of each kind, from process start to its first answered call. Prints milliseconds and resident memory; `bench/startup.ts` runs it. */
const [kind, target] = process.argv.slice(2);

const same = (bytes) => bytes;
const ECHO = {
  get: {
    path: '/bench.Echo/Get',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};
const unary = (client) =>
  new Promise((resolve, reject) => {
    client.get(Buffer.from('x'), (error, reply) => (error === null ? resolve(reply) : reject(error)));
  });

const programs = {
  async 'bare-undici'() {
    const { request } = await import('undici');
    await (await request(`http://${target}/x`)).body.json();
  },
  async 'mesh-services'() {
    const { meshClient } = await import('inmesh');
    const mesh = meshClient({ services: { reviews: [target] } });
    await (await mesh.fetch('http://reviews/x')).json();
  },
  async 'mesh-yaml'() {
    const { meshClient } = await import('inmesh');
    const mesh = meshClient({ config: target });
    await (await mesh.fetch('http://reviews/x')).json();
  },
  async 'stock-grpc'() {
    const grpc = await import('@grpc/grpc-js');
    const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
    await unary(new Echo(target, grpc.credentials.createInsecure()));
  },
  async 'mesh-xds'() {
    const grpc = await import('@grpc/grpc-js');
    const { meshClient } = await import('inmesh');
    const mesh = meshClient({ xds: target });
    await unary(mesh.grpc(grpc.makeGenericClientConstructor(ECHO, 'Echo'), 'reviews'));
  },
  async 'grpc-js-xds'() {
    process.env.GRPC_XDS_BOOTSTRAP_CONFIG = JSON.stringify({
      xds_servers: [{ server_uri: target, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] }],
      node: { id: 'bench', locality: { zone: 'a' } },
    });
    const grpc = await import('@grpc/grpc-js');
    const xds = await import('@grpc/grpc-js-xds');
    xds.register();
    const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
    await unary(new Echo('xds:///reviews', grpc.credentials.createInsecure()));
  },
};

await programs[kind]();
console.log(JSON.stringify({ ms: performance.now(), mb: process.memoryUsage.rss() / 1_048_576 }));
process.exit();
