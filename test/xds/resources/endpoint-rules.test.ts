import { describe, expect, test } from 'vitest';
import { ENDPOINT, type Resource } from '../../../src/core/resources.js';
import type { Assignment } from '../../../src/xds/resources/endpoint.js';
import { type Exception, expectAccepted, expectRefused, type Rule } from '../../support/rules.js';
import { lbEndpoint, locality } from '../../support/xds-resources.js';

const assignment = (...endpoints: Resource[]): Resource => ({ cluster_name: 'c', endpoints });
const ip = (n: number, fields: Resource = {}): Resource => lbEndpoint(`10.0.0.${n}`, 80, fields);
const weight = (value: number): Resource => ({ load_balancing_weight: { value } });
const zone = (name: string): Resource => ({ locality: { zone: name } });
const at = (address: Resource): Resource => assignment(locality([{ endpoint: { address } }]));
const also = (...additional_addresses: Resource[]): Resource =>
  assignment(locality([{ endpoint: { address: socket('10.0.0.1', 80), additional_addresses } }]));
const socket = (address: string, port_value: number): Resource => ({ socket_address: { address, port_value } });
const MAX = 4_294_967_295;

const NACK: readonly Rule[] = [
  {
    rule: 'cluster_name is empty',
    source: 'xds_protocol',
    resource: { cluster_name: '' },
    problem: 'cluster_name: must be set',
  },
  {
    rule: 'a locality is missing',
    source: 'A27',
    resource: assignment({ ...weight(1), lb_endpoints: [ip(1)] }),
    problem: 'endpoints[0].locality: must be set',
  },
  {
    rule: 'a locality is missing from an entry without weight',
    source: 'grpc-go',
    resource: assignment({ lb_endpoints: [ip(1)] }),
    problem: 'endpoints[0].locality: must be set',
  },
  {
    rule: 'a locality is there twice in one priority',
    source: 'A27',
    resource: assignment(locality([ip(1)]), locality([ip(2)])),
    problem: 'endpoints[1].locality: must not be repeated in priority 0',
  },
  {
    rule: 'there is a gap between priorities',
    source: 'A27',
    resource: assignment(locality([ip(1)]), locality([ip(2)], { priority: 2 })),
    problem: 'there is none with priority 1',
  },
  {
    rule: 'there is no priority 0',
    source: 'A27',
    resource: assignment(locality([ip(1)], { priority: 1 })),
    problem: 'there is none with priority 0',
  },
  {
    rule: 'the only locality of priority 0 has no weight',
    source: 'A27',
    resource: assignment({ ...zone('a'), lb_endpoints: [ip(1)] }, locality([ip(2)], { priority: 1 })),
    problem: 'there is none with priority 0',
  },
  {
    rule: 'locality weights of one priority add up to more than 2^32-1',
    source: 'A27',
    resource: assignment(locality([], weight(MAX)), locality([], { ...zone('b'), ...weight(1) })),
    problem: 'weights of priority 0 must add up',
  },
  {
    rule: 'endpoint weights of a locality add up to more than 2^32-1',
    source: 'endpoint_components.proto',
    resource: assignment(locality([ip(1, weight(MAX)), ip(2)])),
    problem: 'weights of a locality must add up',
  },
  {
    rule: 'an endpoint’s weight is 0',
    source: 'endpoint_components.proto; defect 13 of grpc-js-xds',
    resource: assignment(locality([ip(1, weight(0))])),
    problem: 'load_balancing_weight: must be greater than 0',
  },
  {
    rule: 'an address is there twice in one locality',
    source: 'A27',
    resource: assignment(locality([ip(1), ip(1)])),
    problem: 'must not be repeated in the cluster, got 10.0.0.1:80',
  },
  {
    rule: 'an address is there twice in two priorities',
    source: 'A27',
    resource: assignment(locality([ip(1)]), locality([ip(1)], { priority: 1 })),
    problem: 'must not be repeated in the cluster',
  },
  {
    rule: 'an additional address is there twice',
    source: 'A61',
    resource: also({ address: socket('10.0.0.1', 80) }),
    problem: 'must not be repeated in the cluster',
  },
  {
    rule: 'an additional address is not set',
    source: 'A61',
    resource: also({}),
    problem: 'additional_addresses[0].address: must be set',
  },
  {
    rule: 'an additional address is no IP',
    source: 'A61',
    resource: also({ address: socket('example.com', 80) }),
    problem: 'must be an IP address',
  },
  {
    rule: 'an endpoint is missing',
    source: 'A27',
    resource: assignment(locality([{}])),
    problem: 'must have endpoint',
  },
  {
    rule: 'an address is missing',
    source: 'A27',
    resource: assignment(locality([{ endpoint: {} }])),
    problem: 'endpoint.address: must be set',
  },
  {
    rule: 'an address is no IP',
    source: 'A27',
    resource: at(socket('example.com', 80)),
    problem: 'must be an IP address',
  },
  {
    rule: 'an address is no socket address',
    source: 'A27',
    resource: at({ pipe: { path: '/x' } }),
    problem: 'must be a socket_address',
  },
  {
    rule: 'an address has no port',
    source: 'A27',
    resource: at({ socket_address: { address: '10.0.0.1' } }),
    problem: 'port_value: must be from 1 to 65535',
  },
  {
    rule: 'the denominator of a drop is not known',
    source: 'A27; grpc-go',
    resource: { ...assignment(), policy: { drop_overloads: [{ category: 'x', drop_percentage: { denominator: 3 } }] } },
    problem: 'drop_percentage.denominator: must be one of',
  },
  {
    rule: 'a drop has no category',
    source: 'endpoint.proto; C-core',
    resource: { ...assignment(), policy: { drop_overloads: [{}] } },
    problem: 'category: must be set',
  },
  {
    rule: 'overprovisioning_factor is 0',
    source: 'endpoint.proto',
    resource: { ...assignment(locality([ip(1)])), policy: { overprovisioning_factor: {} } },
    problem: 'policy.overprovisioning_factor: must be greater than 0',
  },
];

const SKIPPED: readonly Exception[] = [
  {
    rule: 'a locality without a weight',
    source: 'A27',
    resource: assignment(locality([ip(1)]), { ...zone('b'), lb_endpoints: [ip(2)] }),
  },
  {
    rule: 'a locality of weight 0',
    source: 'A27; C-core, grpc-go',
    resource: assignment(locality([ip(1)]), { ...zone('b'), ...weight(0), lb_endpoints: [ip(2)] }),
  },
  {
    rule: 'a locality without a weight, whatever is in it',
    source: 'A27; C-core, grpc-go',
    resource: assignment(locality([ip(1)]), { ...zone('b'), priority: 9, lb_endpoints: [ip(1), {}] }),
  },
];

describe('EDS', () => {
  test.each(NACK)('EDS: NACK when $rule ($source)', (rule) => expectRefused(ENDPOINT, rule));

  test.each(SKIPPED)('EDS: $rule is skipped, not NACKed ($source)', (exception) => {
    const { endpoints } = expectAccepted(ENDPOINT, exception) as Assignment;
    expect(endpoints.map(({ key }) => key)).toEqual(['10.0.0.1:80']);
  });

  test('EDS: DRAINING is kept for calls that are bound to an endpoint (A55)', () => {
    const rule = { rule: '', source: '', resource: assignment(locality([ip(1, { health_status: 'DRAINING' })])) };
    expect((expectAccepted(ENDPOINT, rule) as Assignment).endpoints[0]?.health).toBe('draining');
  });

  test('EDS: one locality may be in two priorities (A27)', () => {
    const rule = { rule: '', source: '', resource: assignment(locality([ip(1)]), locality([ip(2)], { priority: 1 })) };
    expect((expectAccepted(ENDPOINT, rule) as Assignment).endpoints.map(({ priority }) => priority)).toEqual([0, 1]);
  });
});
