import type { HeaderMutation, MirrorPolicy } from '../../core/model/route.js';
import { headerOption, mergeMutations, removedName } from './header-mutation.js';
import { isHost } from './header-name.js';
import type { Message } from './message.js';
import { runtimeFraction } from './percent.js';

/**
 * `request_mirror_policies` of one level: route action, virtual host or route configuration. Undefined when it says nothing, so that the level
 * around it counts: "policies at the route level override those at the virtual host level" - route_components.proto.
 */
export function mirrorPolicies(level: Message): readonly MirrorPolicy[] | undefined {
  const policies = level.messages('request_mirror_policies');
  return policies.length === 0 ? undefined : policies.map(mirrorPolicy);
}

function mirrorPolicy(policy: Message): MirrorPolicy {
  if (policy.text('cluster_header') !== '')
    throw policy.error('cluster_header', 'is not supported; name the cluster in cluster');
  const host = policy.text('host_rewrite_literal');
  if (!isHost(host)) throw policy.error('host_rewrite_literal', 'must be a host, with or without a port');
  return {
    cluster: policy.requiredText('cluster'),
    share: runtimeFraction(policy.message('runtime_fraction')),
    shadowSuffix: !policy.flag('disable_shadow_host_suffix_append'),
    hostRewrite: host === '' ? undefined : host,
    requestHeaders: mergeMutations(policy.messages('request_headers_mutations').map(mutation)),
  };
}

/** `config.common.mutation_rules.v3.HeaderMutation`: one change, made after those before it. */
function mutation(change: Message): HeaderMutation | undefined {
  switch (change.oneof('remove', 'append')) {
    case 'remove':
      return { remove: [removedName(change, 'remove')], set: [] };
    case 'append': {
      const added = headerOption(change.required('append'));
      return added === undefined ? undefined : { remove: [], set: [added] };
    }
    default:
      throw change.error('', 'must have remove or append');
  }
}
