import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import { type Meter, type MeshEvent, noMeter } from '../../src/core/meter.js';
import { systemRandom } from '../../src/core/random.js';
import type { ServerConfigWatcher } from '../../src/core/server-config.js';
import type { MemoryIdentity } from '../../src/identity/sources/memory.js';
import { type TlsFactoryOptions, tlsFactory } from '../../src/identity/tls/factory.js';
import type { ServerParts } from '../../src/server/parts.js';
import { type TestMesh, testMesh } from '../../src/testing/index.js';
import { identityOf, providersOf } from '../support/mtls.js';
import { testCa, type TestCa } from '../support/pki.js';

/** `reviews`, with a certificate, for servers of it that the test makes; what is configured of them is in the test's hands. */
export interface SecuredMesh {
  readonly ca: TestCa;
  readonly identity: MemoryIdentity;
  readonly mesh: TestMesh;
  readonly parts: ServerParts;
  readonly meter: Meter;
  /** What `meter` was told. */
  readonly events: readonly MeshEvent[];
  /** Tells who watches the configuration of the server. */
  readonly changed: ServerConfigWatcher['changed'];
  /** What is to be closed before the mesh, the last first. */
  readonly closing: (() => unknown)[];
  close(): Promise<void>;
}

export function securedMesh(env: Partial<Pick<TlsFactoryOptions, 'clock' | 'random'>> = {}): SecuredMesh {
  const ca = testCa();
  const identity = identityOf(ca, 'reviews');
  const mesh = testMesh({ services: {} });
  const events: MeshEvent[] = [];
  let watcher: ServerConfigWatcher | undefined;
  const tls = tlsFactory({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...env,
    providers: providersOf(identity),
  });
  const parts: ServerParts = {
    ...mesh.servers,
    tls,
    service: 'reviews',
    clock: systemClock,
    watch: (_, given) => {
      watcher = given;
      return () => {};
    },
  };
  const closing: (() => unknown)[] = [() => tls.close()];
  return {
    ca,
    identity,
    mesh,
    parts,
    meter: { ...noMeter, event: (event) => void events.push(event) },
    events,
    changed: (config) => watcher?.changed(config),
    closing,
    close: async () => {
      for (const end of closing.splice(0).reverse()) await end();
      await mesh.close();
      await identity.close();
    },
  };
}
