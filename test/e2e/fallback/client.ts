import { expect, vi } from 'vitest';
import { type Clock, systemClock } from '../../../src/core/clock.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import type { ApiType } from '../../../src/xds/bootstrap/bootstrap.js';
import { type Load, type Opened, startLoad, WAIT } from '../robustness/support.js';
import { type Face, openFace } from '../support/faces.js';
import type { Listening } from './planes.js';

/**
 * The wait of this many milliseconds passes ten times faster. For tests that wait for it to pass, and only the one that they mean: a machine
 * under load is easily slower than a tenth of the others, and what is then said not to exist was merely not read yet.
 */
export const hurrying = (waitMs: number): Clock => ({
  ...systemClock,
  after: (ms, task, options) => systemClock.after(ms === waitMs ? ms / 10 : ms, task, options),
});

/** A mesh with a bootstrap that names `servers` in order of preference. */
export function openMesh(
  opened: Opened,
  apiType: ApiType,
  servers: readonly Pick<Listening, 'port'>[],
  clock: Clock = systemClock,
): Mesh {
  const bootstrap = {
    xds_servers: servers.map(({ port }) => ({
      server_uri: `127.0.0.1:${port}`,
      channel_creds: [{ type: 'insecure' }],
      api_type: apiType,
    })),
    node: { id: 'fallback' },
  };
  const options = { service: 'e2e', xds: bootstrap, logger: silentLogger, clock, unknownHosts: 'deny' } as const;
  return opened.add(meshClient(options), (mesh) => mesh.close());
}

/** Calls without pause over fetch (to `web`) and over gRPC (to `rpc`), until the test is over. */
export class Traffic {
  private constructor(
    private readonly faces: readonly Face[],
    private readonly loads: readonly Load[],
  ) {}

  static async start(opened: Opened, mesh: Mesh): Promise<Traffic> {
    const faces = [await openFace('fetch', mesh, 'web'), await openFace('gRPC', mesh, 'rpc')];
    for (const face of faces) opened.add(face, (each) => each.close());
    const loads = faces.map((face) => startLoad(face, 1));
    for (const load of loads) opened.add(load, (each) => each.stop());
    return new Traffic(faces, loads);
  }

  get failures(): readonly string[] {
    return this.loads.flatMap((load) => load.failures);
  }

  /** Resolves when each face has been answered by that backend; what was asked before does not count. */
  async answeredBy(id: string): Promise<void> {
    await vi.waitFor(async () => {
      expect(await Promise.all(this.faces.map((face) => face.send()))).toEqual(this.faces.map(() => id));
    }, WAIT);
  }

  /** Many more calls, and each is answered by that backend. */
  async staysAt(id: string): Promise<void> {
    for (const load of this.loads) load.answered.clear();
    const before = this.loads.map((load) => load.total);
    await vi.waitFor(() => {
      for (const [i, load] of this.loads.entries()) expect(load.total).toBeGreaterThan((before[i] as number) + 50);
    }, WAIT);
    // The oldest call of each may have begun before.
    expect(this.loads.map((load) => [...load.answered])).toEqual(this.loads.map(() => [id]));
  }
}
