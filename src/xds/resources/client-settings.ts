import { parseNetwork } from '../../core/ip.js';
import type { EgressConfig, EgressRule } from '../../core/model/egress.js';
import type { CidrRange } from '../../core/model/server.js';
import type { ClientSettings } from '../../core/model/settings.js';
import { boundedMessages, onlyFields, requiredWhole } from './own-config.js';
import { Message } from './message.js';
import { OWN_METADATA, plainStruct } from './struct.js';

const MAX_RULES = 10_000;
const MAX_PER_RULE = 1_000;
/** RFC 1035 section 2.3.4, in characters. */
const MAX_HOST = 255;
const MAX_PORT = 65_535;

/**
 * The Listener of the name `SETTINGS_LISTENER`: no listener of anybody, but what MeshConfig says to all clients, in `metadata`. A field that is not known is an error, as
 * it could be one that denies.
 */
export function clientSettings(message: Message): ClientSettings {
  const found = message
    .message('metadata')
    ?.map('filter_metadata')
    .find(([name]) => name === OWN_METADATA)?.[1];
  if (found === undefined) throw message.error('metadata', `must have filter_metadata["${OWN_METADATA}"]`);
  const own = new Message(plainStruct(found), found.path, found.budget);
  onlyFields(own, ['unknown_hosts', 'egress']);
  const egress = own.message('egress');
  return {
    unknownHosts: own.has('unknown_hosts')
      ? own.choice<'passthrough' | 'deny'>('unknown_hosts', ['deny', 'passthrough'])
      : undefined,
    egress: egress && egressConfig(egress),
  };
}

function egressConfig(egress: Message): EgressConfig {
  onlyFields(egress, ['default', 'allow', 'deny', 'registered']);
  const rules = (field: string): readonly EgressRule[] => boundedMessages(egress, field, MAX_RULES).map(rule);
  if (!egress.has('default')) throw egress.error('default', 'must be set');
  return {
    default: egress.choice('default', ['deny', 'allow']),
    allow: rules('allow'),
    deny: rules('deny'),
    registered: rules('registered'),
  };
}

function rule(message: Message): EgressRule {
  onlyFields(message, ['hosts', 'ports', 'cidrs']);
  return {
    ...(message.has('hosts') && { hosts: hosts(message) }),
    ...(message.has('ports') && { ports: ports(message) }),
    ...(message.has('cidrs') && { cidrs: boundedMessages(message, 'cidrs', MAX_PER_RULE).map(range) }),
  };
}

function hosts(message: Message): readonly string[] {
  const found = message.texts('hosts');
  if (found.length > MAX_PER_RULE) throw message.error('hosts', `must have at most ${MAX_PER_RULE}`);
  for (const host of found)
    if (host === '' || host.length > MAX_HOST || host !== host.toLowerCase())
      throw message.error('hosts', `must be hosts in lower case, got "${host.slice(0, 80)}"`);
  return found;
}

function ports(message: Message): readonly number[] {
  const found = message.numbers('ports');
  for (const port of found)
    if (!Number.isInteger(port) || port < 1 || port > MAX_PORT)
      throw message.error('ports', `must be ports from 1 to ${MAX_PORT}, got ${port}`);
  return found;
}

function range(message: Message): CidrRange {
  onlyFields(message, ['address', 'prefix_len']);
  const found = {
    address: message.requiredText('address'),
    prefixLength: requiredWhole(message, 'prefix_len', { min: 0, max: 128 }),
  };
  if (parseNetwork(found) === undefined)
    throw message.error('', `must be a range of addresses, got "${found.address.slice(0, 80)}/${found.prefixLength}"`);
  return found;
}
