/* What do all default policies cost by themselves: the whole stack on a transport that answers at once? */
import { Call } from '../src/core/call.js';
import { systemClock } from '../src/core/clock.js';
import type { ConfigSource } from '../src/core/config-source.js';
import { headerFields } from '../src/core/headers.js';
import { silentLogger } from '../src/core/log.js';
import { systemRandom } from '../src/core/random.js';
import { localReply } from '../src/core/reply.js';
import type { Transport } from '../src/core/transport.js';
import { servicesSource } from '../src/mesh/embedded.js';
import { createMesh, type Mesh } from '../src/mesh/mesh.js';
import { createObservability } from '../src/observability/observability.js';
import { compareCpu, report, type Side } from './lib/compare.js';

const shared = { clock: systemClock, random: systemRandom, logger: silentLogger };
const answered = Promise.resolve(localReply(200));
const nullTransport = (): Transport => ({
  call: () => answered,
  connections: 1,
  connect: async () => {},
  close: async () => {},
});

function nullMesh(tracing: 'own' | 'off'): Mesh {
  const observability = createObservability({ service: 'bench', tracing, ...shared });
  const source: ConfigSource = servicesSource(
    { reviews: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'] },
    { ...shared, meter: observability.meter, dns: { ...shared, resolve: async () => [] }, onSettings() {} },
  );
  return createMesh({
    source,
    unknownHosts: { policy: () => 'deny', resolve: async () => [] },
    env: { ...shared, transports: { http1: nullTransport, http2: nullTransport } },
    observability,
  });
}

const aCall = (protocol: 'http' | 'grpc'): Call =>
  new Call({ protocol, scheme: 'http', authority: 'reviews', method: 'GET', path: '/x', headers: headerFields() });

const through = (name: string, protocol: 'http' | 'grpc', tracing: 'own' | 'off'): Side => ({
  name,
  open: async () => {
    const mesh = nullMesh(tracing);
    return { once: () => mesh.service(aCall(protocol)), close: () => mesh.close() };
  },
});

const policies = await compareCpu({
  question: 'All default policies on a null transport (design.md: at most 2 µs)',
  sides: [
    { name: 'one await', open: async () => ({ once: () => answered }) },
    through('all policies', 'http', 'off'),
    through('all policies, trace headers', 'http', 'own'),
    through('all policies, gRPC, trace headers', 'grpc', 'own'),
  ],
  concurrency: 1,
  perRun: 400_000,
  runs: 7,
});

report(policies);
