import { request } from 'node:http';
import type { Resource } from '../../../src/core/resources.js';
import { any, toCluster } from '../../support/xds-resources.js';

/** Envoy's filter that asks the cluster `rls`; `timeout` in the form of whoever reads it. */
export const rateLimitFilter = (timeout: unknown, fields: Resource = {}): Resource => ({
  name: 'envoy.filters.http.ratelimit',
  typed_config: any('envoy.extensions.filters.http.ratelimit.v3.RateLimit', {
    domain: 'edge',
    timeout: timeout as Resource,
    enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
    rate_limit_service: { transport_api_version: 'V3', grpc_service: { envoy_grpc: { cluster_name: 'rls' } } },
    ...fields,
  }),
});

const header = (name: string, key: string): Resource => ({
  request_headers: { header_name: name, descriptor_key: key },
});

/** By the header `x-user`; and where there is one, by `x-plan` and that. */
export const byUser = (cluster: string): Resource =>
  toCluster(cluster, undefined, {
    rate_limits: [
      { actions: [header('x-user', 'user')] },
      { actions: [header('x-plan', 'plan'), header('x-user', 'user')] },
    ],
  });

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export const get = (port: number, headers: Readonly<Record<string, string>>): Promise<Answer> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode as number, headers: response.headers }));
    })
      .on('error', reject)
      .end();
  });
