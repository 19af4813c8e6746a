import { isIPv4 } from 'node:net';
import type { EgressConfig, EgressRule } from '../../core/model/egress.js';
import type { CidrRange } from '../../core/model/server.js';
import type { DocumentOf } from '../yaml/document.js';
import type { EgressSpec } from '../yaml/schema/egress.js';
import { nameForms, shortNames } from './names.js';
import { registeredHosts } from './service-entries.js';
import type { MeshService } from './services.js';

/** Where the mesh may be left for. Undefined: nobody says anything about it. */
export function egressConfig(
  spec: EgressSpec | undefined,
  entries: readonly DocumentOf<'ServiceEntry'>[],
  services: readonly MeshService[],
): EgressConfig | undefined {
  const registered = registeredHosts(entries);
  if (spec === undefined && registered.length === 0) return undefined;
  return {
    default: spec?.default ?? 'allow',
    allow: (spec?.allow ?? []).map(rule),
    deny: (spec?.deny ?? []).map(rule).map((denied) => inEveryForm(denied, services)),
    registered,
  };
}

const rule = ({ hosts, ports, cidrs }: EgressSpec['allow'][number]): EgressRule => ({
  ...(hosts !== undefined && { hosts }),
  ...(ports !== undefined && { ports }),
  ...(cidrs !== undefined && { cidrs: cidrs.map(range) }),
});

/** A Service that may not be called under one of its names may not be called under another. */
function inEveryForm(denied: EgressRule, services: readonly MeshService[]): EgressRule {
  if (denied.hosts === undefined) return denied;
  const shorts = shortNames(services);
  const forms = services
    .filter(({ hosts }) => hosts === undefined)
    .map((service) => nameForms(service, shorts.has(service)))
    .filter((names) => names.some((name) => denied.hosts?.includes(name)));
  return { ...denied, hosts: [...new Set([...denied.hosts, ...forms.flat()])] };
}

/** Checked by its schema and its check. */
function range(text: string): CidrRange {
  const [address = '', length] = text.split('/');
  return { address, prefixLength: length === undefined ? (isIPv4(address) ? 32 : 128) : Number(length) };
}
