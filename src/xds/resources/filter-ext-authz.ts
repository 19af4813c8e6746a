import { isHeaderName, isHeaderValue } from '../../core/header-syntax.js';
import {
  type AuthzService,
  type CheckedBody,
  DEFAULT_CHECK_TIMEOUT_MS,
  type ExtAuthz,
} from '../../core/model/ext-authz.js';
import type { StringMatch } from '../../core/model/match.js';
import { errorStatus } from './http-status.js';
import type { Message } from './message.js';
import { runtimeFraction } from './percent.js';
import { stringMatch } from './string-match.js';

const MAX_TIMEOUT_MS = 60_000;
/** Bytes of a body that are kept for the service to see. */
const MAX_BODY_BYTES = 16_777_216;
/** "If not set, … 403 Forbidden" - ext_authz.proto, status_on_error */
const DEFAULT_FAILURE_STATUS = 403;

/** `extensions.filters.http.ext_authz.v3.ExtAuthz`. */
export function extAuthz(filter: Message, name: string): ExtAuthz {
  if (filter.has('filter_enabled_metadata'))
    throw filter.error('filter_enabled_metadata', 'is not supported: there is no dynamic metadata');
  if (filter.choice('transport_api_version', ['AUTO', 'V3', 'V2']) === 'V2')
    throw filter.error('transport_api_version', 'must be V3');
  const allowed = filter.message('allowed_headers');
  const service = serviceOf(filter);
  return {
    name,
    service,
    onFailure: filter.flag('failure_mode_allow') ? 'allow' : 'deny',
    failureHeader: filter.flag('failure_mode_allow_header_add'),
    failureStatus: errorStatus(filter, 'status_on_error', DEFAULT_FAILURE_STATUS),
    body: bodyOf(filter.message('with_request_body')),
    allowedHeaders: allowed === undefined ? olderHeaders(filter) : matchers(allowed),
    disallowedHeaders: listed(filter, 'disallowed_headers'),
    share: runtimeFraction(filter.message('filter_enabled')),
    denyOthers: filter.message('deny_at_disable')?.required('default_value').flag('value') ?? false,
    context: {},
  };
}

/** What a route says: `ExtAuthzPerRoute`. */
export type ExtAuthzOverride =
  | 'off'
  | { readonly context: Readonly<Record<string, string>>; readonly body: CheckedBody | 'none' | undefined };

export function extAuthzOverride(override: Message): ExtAuthzOverride {
  if (override.oneof('disabled', 'check_settings') !== 'check_settings') {
    // "const: true" - ext_authz.proto
    if (!override.flag('disabled')) throw override.error('', 'must have disabled: true, or check_settings');
    return 'off';
  }
  const settings = override.required('check_settings');
  const extensions = settings.message('context_extensions');
  const context: Record<string, string> = Object.create(null);
  for (const name of extensions?.names ?? []) context[name] = (extensions as Message).text(name);
  const none = settings.flag('disable_request_body_buffering');
  return { context, body: none ? 'none' : bodyOf(settings.message('with_request_body')) };
}

export const extAuthzUnder = (filter: ExtAuthz, said: Exclude<ExtAuthzOverride, 'off'>): ExtAuthz => ({
  ...filter,
  context: { ...filter.context, ...said.context },
  body: said.body === 'none' ? undefined : (said.body ?? filter.body),
});

function serviceOf(filter: Message): AuthzService {
  switch (filter.oneof('grpc_service', 'http_service')) {
    case 'grpc_service':
      return grpcService(filter.required('grpc_service'));
    case 'http_service':
      return httpService(filter.required('http_service'));
    default:
      throw filter.error('', 'must have one of grpc_service, http_service');
  }
}

function grpcService(grpc: Message): AuthzService {
  if (grpc.oneof('envoy_grpc', 'google_grpc') !== 'envoy_grpc')
    throw grpc.error('envoy_grpc', 'must be set to the cluster of the service; google_grpc is not supported');
  return {
    kind: 'grpc',
    cluster: grpc.required('envoy_grpc').requiredText('cluster_name'),
    timeoutMs: timeout(grpc, DEFAULT_CHECK_TIMEOUT_MS),
    metadata: grpc.messages('initial_metadata').map(headerValue),
  };
}

function httpService(http: Message): AuthzService {
  const uri = http.required('server_uri');
  const text = uri.requiredText('uri');
  // Envoy takes the host of it, with or without a scheme.
  const full = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw uri.error('uri', 'must be an http or https URL');
  const prefix = http.text('path_prefix');
  // "path_prefix … must start with /"; and it says no more than a path.
  if (prefix !== '' && !/^\/[^?#\s]*$/.test(prefix))
    throw http.error('path_prefix', 'must be a path that begins with "/"');
  const response = http.message('authorization_response');
  const of = (field: string): StringMatch[] => (response === undefined ? [] : listed(response, field));
  return {
    kind: 'http',
    cluster: uri.requiredText('cluster'),
    timeoutMs: timeout(uri, DEFAULT_CHECK_TIMEOUT_MS),
    host: url.host,
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    pathPrefix: prefix,
    headersToAdd: http.message('authorization_request')?.messages('headers_to_add').map(headerValue) ?? [],
    upstreamHeaders: of('allowed_upstream_headers'),
    upstreamHeadersToAppend: of('allowed_upstream_headers_to_append'),
    clientHeaders: of('allowed_client_headers'),
    clientHeadersOnSuccess: of('allowed_client_headers_on_success'),
  };
}

/** Where `allowed_headers` stood before it was the filter's own. */
function olderHeaders(filter: Message): StringMatch[] {
  const request = filter.message('http_service')?.message('authorization_request');
  return request === undefined ? [] : listed(request, 'allowed_headers');
}

const listed = (owner: Message, field: string): StringMatch[] => {
  const list = owner.message(field);
  return list === undefined ? [] : matchers(list);
};

/** `ListStringMatcher`: "min_items: 1". */
function matchers(list: Message): StringMatch[] {
  const found = list.messages('patterns').map(stringMatch);
  if (found.length === 0) throw list.error('patterns', 'must have at least one');
  return found;
}

function headerValue(header: Message): { readonly name: string; readonly value: string } {
  const name = header.requiredText('key');
  const value = header.text('value');
  if (!isHeaderName(name)) throw header.error('key', 'must be the name of a header');
  if (!isHeaderValue(value)) throw header.error('value', 'must be the value of a header');
  return { name: name.toLowerCase(), value };
}

function timeout(owner: Message, otherwise: number): number {
  const ms = owner.duration('timeout') ?? otherwise;
  if (ms < 1 || ms > MAX_TIMEOUT_MS)
    throw owner.error('timeout', `must be from 1 ms to ${MAX_TIMEOUT_MS} ms, got ${ms} ms`);
  return Math.round(ms);
}

function bodyOf(settings: Message | undefined): CheckedBody | undefined {
  if (settings === undefined) return undefined;
  const maxBytes = settings.uint32('max_request_bytes');
  // "gt: 0"
  if (maxBytes === 0 || maxBytes > MAX_BODY_BYTES)
    throw settings.error('max_request_bytes', `must be from 1 to ${MAX_BODY_BYTES}, got ${maxBytes}`);
  return { maxBytes, partial: settings.flag('allow_partial_message'), asBytes: settings.flag('pack_as_bytes') };
}
