import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { noMeter } from '../../src/core/meter.js';
import { INBOUND_PREFIX, LISTENER } from '../../src/core/resources.js';
import { seededRandom } from '../../src/core/random.js';
import { Inbound } from '../../src/server/inbound.js';
import { secureServer } from '../../src/server/tls/secure.js';
import { testMesh } from '../../src/testing/index.js';
import { bootstrapFor } from '../../src/xds/bootstrap/index.js';
import { XdsClient } from '../../src/xds/client/index.js';
import { decodersFor } from '../../src/xds/resources/decoders.js';
import { watchServers } from '../../src/xds/servers/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { ScriptedXds, type XdsServerStream } from '../support/scripted-xds.js';
import { freeAddress, serve, until } from './xds/support.js';

/** A control plane that takes the question for a service's policies, and says nothing: servers stay closed, as it might have said that nobody may come in. */

const NAME = `${INBOUND_PREFIX}reviews`;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

describe.each([
  ['SotW', 'AGGREGATED_GRPC'],
  ['delta', 'AGGREGATED_DELTA_GRPC'],
] as const)('a control plane that is silent over %s', (kind, apiType) => {
  async function begin() {
    const plane = await ScriptedXds.start();
    const clock = new FakeClock();
    const random = seededRandom(1);
    const made = bootstrapFor(plane.uri, { service: 'shop', nodeId: 'server-1', random });
    const client = new XdsClient({
      bootstrap: { ...made, servers: [{ ...made.servers[0], apiType }] },
      decoders: decodersFor({ certificateProviders: new Set() }),
      scope: '#server',
      clock,
      random,
      logger: silentLogger,
      meter: noMeter,
    });
    closing.push(async () => {
      await client.close();
      plane.close();
    });
    const watch = watchServers({ cache: client, listenerName: () => undefined, logger: silentLogger });
    return { plane, clock, watch };
  }

  /** Until the control plane was silent for as long as a client waits. */
  async function silence(plane: ScriptedXds, clock: FakeClock): Promise<XdsServerStream> {
    const stream = await plane.nextStream();
    await stream.next();
    await clock.advance(15_000);
    return stream;
  }

  /** The control plane has no policies, and says so. */
  function none(stream: XdsServerStream): void {
    const said = kind === 'delta' ? { removed_resources: [NAME] } : { version_info: '1', resources: [] };
    stream.send({ type_url: LISTENER, nonce: 'n', ...said } as never);
  }

  test('middleware refuses requests, until it hears that there are no policies', async () => {
    const { plane, clock, watch } = await begin();
    const mesh = testMesh({ services: {}, clock });
    closing.push(() => mesh.close());
    const servers = { ...mesh.servers, watch, logger: silentLogger };
    const gate = new Inbound({ mesh: { meter: noMeter, servers }, service: 'reviews', clock });
    const ask = () => gate.refusal(gate.context({}, 'http'), 'http');
    const stream = await silence(plane, clock);
    expect(await ask()).toMatchObject({ status: 503, code: 'CONFIG_UNAVAILABLE' });
    none(stream);
    await until(() => ask() === undefined);
  });

  test('mesh.serve opens no port, until it hears that there are no policies', async () => {
    const { plane, clock, watch } = await begin();
    const served = serve(
      createServer((_, response) => response.end('ok')),
      await freeAddress(),
      {},
    );
    closing.push(() => served.close());
    // What it is told is what the control plane's client makes of the silence.
    const stop = watch(
      { service: 'reviews' },
      {
        changed: ({ listener }) => served.config.changed(listener),
        failed: ({ message }) => served.config.failed(message),
        ambient() {},
      },
    );
    closing.push(stop);
    const stream = await silence(plane, clock);
    await until(() => served.modes.length > 0);
    expect(served.modes).toEqual([expect.stringMatching(/^NOT_SERVING: .*\(unreachable\)/)]);
    none(stream);
    await served.serving.ready();
  });

  test('mesh.secure takes no connection, until it hears that there are no policies', async () => {
    const { plane, clock, watch } = await begin();
    const mesh = testMesh({ services: {}, clock });
    closing.push(() => mesh.close());
    const server: Server = createServer((_, response) => response.end('ok'));
    const secured = secureServer(server, { service: 'reviews' }, { ...mesh.servers, watch }, noMeter);
    closing.push(() => secured.close());
    const stream = await silence(plane, clock);
    expect(secured.mode).toBeUndefined();
    none(stream);
    await until(() => secured.mode === 'disabled');
  });
});
