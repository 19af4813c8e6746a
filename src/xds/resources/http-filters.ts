import { type Extension, extension } from './any.js';
import type { Message } from './message.js';

const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
/** An override for a filter that only servers run: without effect at a client (gRFC A41). */
const RBAC_OVERRIDE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
const OVERRIDE_WRAPPER = 'envoy.config.route.v3.FilterConfig';

/** Checks the HTTP filters of a client's listener by the rules of gRFC A39. */
export function checkHttpFilters(hcm: Message): void {
  const filters = hcm.messages('http_filters');
  const names = new Set<string>();
  const kept: { readonly filter: Message; readonly terminal: boolean }[] = [];
  for (const filter of filters) {
    const name = filter.requiredText('name');
    if (names.has(name)) throw filter.error('name', `must not be repeated in http_filters, got "${name}" again`);
    names.add(name);
    const kind = filterKind(filter);
    if (kind !== 'skipped') kept.push({ filter, terminal: kind === 'terminal' });
  }
  kept.forEach(({ filter, terminal }, i) => {
    const last = i === kept.length - 1;
    if (terminal && !last) throw filter.error('', 'is a terminal filter, and must be the last one');
    if (last && !terminal) throw filter.error('', `is the last filter, and must be a terminal one (${ROUTER})`);
  });
  if (kept.length === 0) throw hcm.error('http_filters', `must not be empty: it needs at least ${ROUTER}`);
}

function filterKind(filter: Message): 'terminal' | 'passing' | 'skipped' {
  const config = filter.message('typed_config');
  const found = config === undefined ? undefined : extension(config);
  if (found?.type === ROUTER) return 'terminal';
  if (found?.type === FAULT && !injectsFault(found)) return 'passing';
  if (filter.flag('is_optional')) return 'skipped';
  const what = found === undefined ? 'a filter without typed_config' : `filter "${found.type}"`;
  throw filter.error('typed_config', `${what} is not supported by a client; remove it, or set is_optional`);
}

/** `typed_per_filter_config` of a virtual host, route or cluster weight: an override that would have an effect must be understood. */
export function checkFilterOverrides(owner: Message): void {
  for (const [, value] of owner.map('typed_per_filter_config')) {
    const wrapped = extension(value).type === OVERRIDE_WRAPPER;
    if (wrapped && value.flag('is_optional')) continue;
    const config = wrapped ? value.message('config') : value;
    // Disabled, or nothing but a wrapper: no effect.
    if (config === undefined || (wrapped && value.flag('disabled'))) continue;
    const found = extension(config);
    if (found.type === RBAC_OVERRIDE || (found.type === FAULT && !injectsFault(found))) continue;
    throw config.error(
      '',
      `override for filter "${found.type}" is not supported; remove it, or wrap it in a FilterConfig with is_optional`,
    );
  }
}

/** Istio puts a fault filter that does nothing into every listener for gRPC. */
function injectsFault(fault: Extension): boolean {
  if (fault.kind === 'struct') return true;
  return ['delay', 'abort', 'response_rate_limit'].some((name) => fault.message.has(name));
}
