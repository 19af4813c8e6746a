import {
  CLUSTER,
  type DumpedResource,
  ENDPOINT,
  LISTENER,
  type ResourcesDump,
  ROUTE,
} from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/index.js';

const codec = await loadCodec();

/** 2023-11-14T22:13:20.250Z */
export const NOW = 1_700_000_000_250;

export const bytesOf = (name: string): Uint8Array => codec.encodeResource(CLUSTER, { name, type: 'EDS' });

export const dumped = (fields: Partial<DumpedResource>): DumpedResource => ({
  type: CLUSTER,
  name: 'c',
  state: 'ACKED',
  version: '1',
  updatedAt: NOW,
  raw: bytesOf('c'),
  error: undefined,
  ...fields,
});

const error = (details: string, version = '', raw?: Uint8Array): NonNullable<DumpedResource['error']> => ({
  details,
  version,
  attemptedAt: NOW + 1_000,
  raw,
});

/** A resource in every state that A40 and A88 know. */
export const ALL_STATES: readonly DumpedResource[] = [
  dumped({ name: 'requested', state: 'REQUESTED', version: '', updatedAt: undefined, raw: undefined }),
  dumped({
    type: LISTENER,
    name: 'gone',
    state: 'DOES_NOT_EXIST',
    version: '',
    raw: undefined,
    error: error('deleted'),
  }),
  dumped({ name: 'gone-but-kept', state: 'DOES_NOT_EXIST', version: '3', error: error('deleted') }),
  dumped({ type: ENDPOINT, name: 'good', version: '4', raw: codec.encodeResource(ENDPOINT, { cluster_name: 'good' }) }),
  dumped({ name: 'refused', state: 'NACKED', version: '4', error: error('lb_policy: no', '5', bytesOf('refused-5')) }),
  dumped({
    type: ROUTE,
    name: 'never-good',
    state: 'NACKED',
    version: '',
    raw: undefined,
    error: error('malformed', '1', Uint8Array.of(0xff)),
  }),
  dumped({ name: 'error', state: 'RECEIVED_ERROR', version: '2', error: error('PERMISSION_DENIED: no') }),
  dumped({ name: 'silence', state: 'TIMEOUT', version: '', raw: undefined, error: error('nothing in 30 s') }),
];

export const NODE = { id: 'n1', cluster: 'shop', client_features: ['envoy.lb.does_not_support_overprovisioning'] };

export const dump = (resources: readonly DumpedResource[], scope = 'mesh'): ResourcesDump => ({
  node: NODE,
  scope,
  resources,
});
