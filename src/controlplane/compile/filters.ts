import type { Resource } from '../../core/resources.js';
import type { HeaderModifier, HttpFilter, PathModifier, RequestRedirect } from '../yaml/schema/route.js';
import type { CompiledMatch } from './matches.js';
import type { MeshPort } from './services.js';

type Filters = readonly Partial<HttpFilter>[];

/** The four header fields of a Route, a virtual host or a weighted cluster. */
export function headerFields(filters: Filters): Resource {
  const request = filters.find((filter) => filter.requestHeaderModifier !== undefined)?.requestHeaderModifier;
  const response = filters.find((filter) => filter.responseHeaderModifier !== undefined)?.responseHeaderModifier;
  return { ...mutation('request', request), ...mutation('response', response) };
}

function mutation(direction: 'request' | 'response', modifier: HeaderModifier | undefined): Resource {
  const added = [
    ...(modifier?.set ?? []).map((header) => headerOption(header, 'OVERWRITE_IF_EXISTS_OR_ADD')),
    ...(modifier?.add ?? []).map((header) => headerOption(header, 'APPEND_IF_EXISTS_OR_ADD')),
  ];
  const removed = (modifier?.remove ?? []).map((name) => name.toLowerCase());
  return {
    ...(added.length > 0 && { [`${direction}_headers_to_add`]: added }),
    ...(removed.length > 0 && { [`${direction}_headers_to_remove`]: removed }),
  };
}

function headerOption({ name, value }: { name: string; value: string }, action: string): Resource {
  return {
    // Envoy reads `%…%` as a command; `%%` is one percent sign.
    header: { key: name.toLowerCase(), value: value.replaceAll('%', '%%') },
    // The first name of the enum is its default and never travels.
    ...(action !== 'APPEND_IF_EXISTS_OR_ADD' && { append_action: action }),
    ...(value === '' && { keep_empty_value: true }),
  };
}

/** What the path of a URLRewrite adds to a RouteAction. */
export function pathFields(filters: Filters, match: CompiledMatch): Resource {
  const path = filters.find((filter) => filter.urlRewrite?.path !== undefined)?.urlRewrite?.path;
  if (path === undefined) return {};
  if (path.type === 'ReplacePrefixMatch') return prefixRewrite(path, match);
  // Envoy replaces whole paths by expression only; the query is not part of what it matches.
  return {
    regex_rewrite: {
      pattern: { regex: '^/.*$' },
      substitution: (path.replaceFullPath ?? '/').replaceAll('\\', '\\\\'),
    },
  };
}

function prefixRewrite(path: PathModifier, match: CompiledMatch): Resource {
  const value = match.prefixRewrite?.(path.replacePrefixMatch ?? '');
  return value === undefined ? {} : { prefix_rewrite: value.startsWith('/') ? value : `/${value}` };
}

const REDIRECT_CODES: Readonly<Record<number, string | undefined>> = {
  // 301 is the enum's first name, which never travels.
  302: 'FOUND',
  303: 'SEE_OTHER',
  307: 'TEMPORARY_REDIRECT',
  308: 'PERMANENT_REDIRECT',
};

const SCHEME_PORTS = { http: 80, https: 443 } as const;

/** The RedirectAction of a RequestRedirect filter, if there is one. */
export function redirectAction(filters: Filters, match: CompiledMatch, port: MeshPort): Resource | undefined {
  const redirect = filters.find((filter) => filter.requestRedirect !== undefined)?.requestRedirect;
  if (redirect === undefined) return undefined;
  // "If redirect scheme is not-empty, the redirect port MUST be the well-known port" - HTTPRequestRedirectFilter. Of the port of
  // the Service, which stands for the Gateway's listener, nothing is said when the host is left as the client wrote it.
  const number =
    redirect.port ??
    (redirect.scheme === undefined ? hostPort(redirect.hostname, port) : SCHEME_PORTS[redirect.scheme]);
  const code = REDIRECT_CODES[redirect.statusCode];
  return {
    ...(redirect.scheme !== undefined && { scheme_redirect: redirect.scheme }),
    ...(redirect.hostname !== undefined && { host_redirect: redirect.hostname }),
    ...(number !== undefined && !goesWithoutSaying(number, redirect, port) && { port_redirect: number }),
    ...redirectPath(redirect.path, match),
    ...(code !== undefined && { response_code: code }),
  };
}

/**
 * The port of the new scheme is left out where nothing else could stand in the Location: "Implementations SHOULD NOT add the port number" -
 * HTTPRequestRedirectFilter.port; Envoy writes what it is told. A host that stays may bring its port along, unless that is 80.
 */
const goesWithoutSaying = (
  number: number,
  { scheme, hostname }: RequestRedirect,
  { number: from }: MeshPort,
): boolean =>
  scheme !== undefined && number === SCHEME_PORTS[scheme] && (hostname !== undefined || from === SCHEME_PORTS.http);

/** A new host without port and scheme keeps the port of the Service, unless it is the one that needs no saying. */
const hostPort = (hostname: string | undefined, { number }: MeshPort): number | undefined =>
  hostname === undefined || number === SCHEME_PORTS.http ? undefined : number;

function redirectPath(path: PathModifier | undefined, match: CompiledMatch): Resource {
  if (path === undefined) return {};
  return path.type === 'ReplaceFullPath' ? { path_redirect: path.replaceFullPath ?? '/' } : prefixRewrite(path, match);
}
