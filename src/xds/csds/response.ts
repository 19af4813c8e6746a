import type { ResourcesDump } from '../../core/resources.js';
import type { Slices } from '../../core/steps.js';
import type { Codec } from '../wire/index.js';
import { clientConfig, type ConfigOptions, genericXdsConfig } from './client-config.js';

const CLIENT_CONFIG = 'envoy.service.status.v3.ClientConfig';
/** Field numbers of csds.proto: `ClientStatusResponse.config`, `ClientConfig.generic_xds_configs`. */
const CONFIG = 1;
const GENERIC_XDS_CONFIGS = 3;

/**
 * `envoy.service.status.v3.ClientStatusResponse`, encoded a resource at a time: that of a large mesh is tens of milliseconds of work, and calls
 * are not to wait for it.
 */
export async function encodeClientStatus(
  codec: Codec,
  dumps: readonly ResourcesDump[],
  options: ConfigOptions,
  slices: Slices,
): Promise<Buffer> {
  const configs: Uint8Array[] = [];
  for (const dump of dumps) {
    const parts: Uint8Array[] = [codec.encodeMessage(CLIENT_CONFIG, clientConfig(dump))];
    for (const resource of dump.resources) {
      const encoded = codec.encodeMessage(
        `${CLIENT_CONFIG}.GenericXdsConfig`,
        genericXdsConfig(codec, resource, options),
      );
      parts.push(...embedded(GENERIC_XDS_CONFIGS, [encoded]));
      if (slices.over) await slices.pause();
    }
    configs.push(...embedded(CONFIG, parts));
  }
  return Buffer.concat(configs);
}

/** A field that holds an encoded message, given in pieces: tag (wire type 2), length, the pieces. */
function embedded(field: number, pieces: readonly Uint8Array[]): Uint8Array[] {
  const prefix = [(field << 3) | 2];
  let rest = pieces.reduce((sum, piece) => sum + piece.length, 0);
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) prefix.push((rest % 0x80) | 0x80);
  prefix.push(rest);
  return [Uint8Array.from(prefix), ...pieces];
}
