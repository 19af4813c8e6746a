import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient, type MeshOptions } from '../../../src/index.js';

/** A way for YAML to reach a mesh. */
export interface Carrier {
  readonly mesh: Mesh;
  /** Replaces the configuration, as an operator who saves the file. */
  edit(yaml: string): Promise<void>;
  /** The control plane dies and comes back at the same address; nothing for embedded configuration. */
  killControlPlane(): Promise<void>;
  reviveControlPlane(): Promise<void>;
  close(): Promise<void>;
}

export type CarrierName = 'embedded' | 'over ADS';
export const CARRIERS: readonly CarrierName[] = ['embedded', 'over ADS'];

export async function openCarrier(
  name: CarrierName,
  yaml: string,
  options: Pick<MeshOptions, 'fallbacks' | 'accessLog'> = {},
): Promise<Carrier> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-e2e-'));
  const file = join(folder, 'mesh.yaml');
  await writeFile(file, yaml);
  const edit = (text: string): Promise<void> => writeFile(file, text);
  const remove = (): Promise<void> => rm(folder, { recursive: true });
  if (name === 'embedded') {
    const mesh = meshClient({ service: 'e2e', config: file, logger: silentLogger, ...options });
    await mesh.ready();
    return {
      mesh,
      edit,
      killControlPlane: async () => {},
      reviveControlPlane: async () => {},
      close: async () => {
        await mesh.close();
        await remove();
      },
    };
  }
  const start = (listen: string): Promise<ControlPlane> =>
    startControlPlane({ config: file, listen, logger: silentLogger });
  let plane = await start('127.0.0.1:0');
  const address = `127.0.0.1:${plane.port}`;
  const mesh = meshClient({ service: 'e2e', xds: address, logger: silentLogger, ...options });
  await mesh.ready();
  return {
    mesh,
    edit,
    killControlPlane: () => plane.close(),
    reviveControlPlane: async () => {
      plane = await start(address);
    },
    close: async () => {
      await mesh.close();
      await plane.close();
      await remove();
    },
  };
}
