import type { EgressConfig, EgressRule } from '../../core/model/egress.js';
import type { ClientSettings } from '../../core/model/settings.js';
import { type Resource, SETTINGS_LISTENER } from '../../core/resources.js';
import { inMetadata } from './own-metadata.js';
import type { Plain } from './proto.js';

type Own = { readonly [key: string]: Plain };

/**
 * What MeshConfig and wildcard ServiceEntries say to every client, for those over a control plane: xDS has no resource for it. A Listener without an address, which
 * nobody is served who does not ask for it by name. Undefined: they say nothing.
 */
export function settingsListener({ unknownHosts, egress }: ClientSettings): Resource | undefined {
  if (unknownHosts === undefined && egress === undefined) return undefined;
  return {
    name: SETTINGS_LISTENER,
    ...inMetadata({
      ...(unknownHosts !== undefined && { unknown_hosts: unknownHosts }),
      ...(egress !== undefined && { egress: egressStruct(egress) }),
    }),
  };
}

const egressStruct = ({ default: otherwise, allow, deny, registered }: EgressConfig): Own => ({
  default: otherwise,
  ...(allow.length > 0 && { allow: allow.map(rule) }),
  ...(deny.length > 0 && { deny: deny.map(rule) }),
  ...(registered.length > 0 && { registered: registered.map(rule) }),
});

const rule = ({ hosts, ports, cidrs }: EgressRule): Own => ({
  ...(hosts !== undefined && { hosts }),
  ...(ports !== undefined && { ports }),
  ...(cidrs !== undefined && {
    cidrs: cidrs.map(({ address, prefixLength }) => ({ address, prefix_len: prefixLength })),
  }),
});
