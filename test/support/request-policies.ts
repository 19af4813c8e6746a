import type { FaultConfig } from '../../src/core/model/fault.js';
import type { RouteLimits } from '../../src/core/model/limit.js';
import type { Resource } from '../../src/core/resources.js';
import { extension } from '../../src/xds/resources/any.js';
import { httpFault } from '../../src/xds/resources/filter-fault.js';
import { ownLimits } from '../../src/xds/resources/limits.js';
import { Message } from '../../src/xds/resources/message.js';
import { ownFault } from '../../src/xds/resources/own-faults.js';

const configOf = (route: Resource, filter: string): Message | undefined => {
  const overrides = route['typed_per_filter_config'] as Record<string, Resource> | undefined;
  const config = overrides?.[filter]?.['config'];
  return config === undefined ? undefined : new Message(config, 'config');
};

/** What a compiled route says of limits, as clients read it. */
export function limitsOf(route: Resource): RouteLimits | undefined {
  const config = configOf(route, 'inmesh.dev/limits');
  return config && ownLimits(extension(config));
}

export const ruleNames = (route: Resource): string[] | undefined => limitsOf(route)?.rules.map(({ name }) => name);

/** What it says of faults in Envoy's words, by the name of the policy. */
export function envoyFault(route: Resource, policy: string): Omit<FaultConfig, 'name'> | undefined {
  const config = configOf(route, policy);
  return config && httpFault(config);
}

/** The same in ours. */
export function meshFault(route: Resource, policy: string): Omit<FaultConfig, 'name'> | undefined {
  const config = configOf(route, `inmesh.dev/fault/${policy}`);
  return config && ownFault(extension(config));
}
