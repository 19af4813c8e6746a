import { DecodeError, record, shown } from '../../core/decode.js';
import type { AuthorityConfig, XdsServer } from './bootstrap.js';
import { optionalString } from './fields.js';
import { percentEncodeAuthority } from './names.js';
import { parseServers } from './server.js';

/** `authorities`, by name; the name of `xdstp:///…` is '' (gRFC A47). */
export function parseAuthorities(
  json: unknown,
  path: string,
  topLevel: readonly [XdsServer, ...XdsServer[]],
): ReadonlyMap<string, AuthorityConfig> {
  const found = new Map<string, AuthorityConfig>();
  if (json === undefined) return found;
  for (const [name, entry] of Object.entries(record(json, path))) {
    const place = `${path}.${name}`;
    const authority = record(entry, place);
    const given = authority['xds_servers'];
    const [first, ...rest] = given === undefined ? [] : parseServers(given, `${place}.xds_servers`);
    found.set(name, {
      listenerTemplate: parseTemplate(authority, place, name),
      // "If not specified, the top-level server list is used." - A47; a list of none specifies nothing.
      servers: first === undefined ? topLevel : [first, ...rest],
    });
  }
  return found;
}

const TEMPLATE = 'client_listener_resource_name_template';

function parseTemplate(authority: Readonly<Record<string, unknown>>, path: string, name: string): string {
  const encoded = `xdstp://${percentEncodeAuthority(name)}/`;
  const template = optionalString(authority, TEMPLATE, path) || `${encoded}envoy.config.listener.v3.Listener/%s`;
  // "Must start with "xdstp://<authority_name>/".  If it does not, that is considered a bootstrap file parsing error." - A47
  if (!template.startsWith(encoded) && !template.startsWith(`xdstp://${name}/`)) {
    throw new DecodeError(`${path}.${TEMPLATE}`, `must begin with "${encoded}", got ${shown(template)}`);
  }
  return template;
}
