import type { Resource } from '../../core/resources.js';
import type { HashKeys } from '../yaml/schema/load-balancer.js';
import { duration } from './proto.js';

/** `RouteAction.hash_policy` for what the policies of its backends hash, each once. Nothing: each call goes anywhere. */
export function hashPolicies(keys: readonly (HashKeys | undefined)[]): Resource {
  const found = new Map<string, Resource>();
  for (const policy of keys.flatMap(policiesOf)) found.set(JSON.stringify(policy), policy);
  return found.size === 0 ? {} : { hash_policy: [...found.values()] };
}

function policiesOf(keys: HashKeys | undefined): Resource[] {
  const { httpHeaderName: header, httpCookie: cookie, httpQueryParameterName: query, useSourceIp } = keys ?? {};
  return [
    ...(header === undefined ? [] : [{ header: { header_name: header.toLowerCase() } }]),
    ...(cookie === undefined
      ? []
      : [
          {
            cookie: {
              name: cookie.name,
              ...(cookie.ttl !== undefined && { ttl: duration(cookie.ttl) }),
              ...(cookie.path !== undefined && { path: cookie.path }),
            },
          },
        ]),
    ...(query === undefined ? [] : [{ query_parameter: { name: query } }]),
    ...(useSourceIp === true ? [{ connection_properties: { source_ip: true } }] : []),
  ];
}
