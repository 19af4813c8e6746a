import type { Call } from '../../core/call.js';
import type { PathMatch } from '../../core/model/match.js';
import type { ForwardAction, WeightedCluster } from '../../core/model/route.js';
import type { Filter } from '../../core/service.js';
import { first } from '../../routing/format/request-values.js';
import { pathOnly } from '../../routing/request.js';
import { rewritePath } from '../../routing/rewrite.js';
import { showHost } from '../endpoints/shown-host.js';

type Change = (call: Call) => void;

/** Host, then path, as Envoy does (`RouteEntryImplBase::finalizeRequestHeaders`). Undefined when neither is rewritten. */
export function rewrite(action: ForwardAction, weighted: WeightedCluster, match: PathMatch): Filter | undefined {
  const host = hostChange(action, weighted);
  const path = pathChange(action, match);
  if (host === undefined && path === undefined) return undefined;
  return (next) => (call) => {
    host?.(call);
    path?.(call);
    return next(call);
  };
}

function pathChange({ pathRewrite }: ForwardAction, match: PathMatch): Change | undefined {
  if (pathRewrite === undefined) return undefined;
  return (call) => {
    // "Envoy will put the original path header in this header" - Envoy, x-envoy-original-path. gRPC knows no such field.
    if (call.protocol === 'http') call.headers['x-envoy-original-path'] = call.path;
    call.path = rewritePath(call.path, pathRewrite, match);
  };
}

function hostChange(action: ForwardAction, { hostRewrite: ofCluster }: WeightedCluster): Change | undefined {
  const ofAction = actionHost(action);
  if (ofCluster === undefined) return ofAction;
  return (call) => {
    call.host = ofCluster;
    ofAction?.(call);
  };
}

function actionHost({ hostRewrite, appendForwardedHost }: ForwardAction): Change | undefined {
  const forward = appendForwardedHost === true;
  switch (hostRewrite?.kind) {
    case undefined:
      return undefined;
    case 'literal':
      return (call) => showHost(call, hostRewrite.value, forward);
    case 'endpoint':
      return (call) => {
        call.hostFromEndpoint = { host: call.host, forward };
      };
    case 'header':
      return (call) => {
        // "an implicitly untrusted header, so ... only the first value is used" - Envoy.
        const host = first(call.headers[hostRewrite.name]);
        if (host !== undefined && host !== '') showHost(call, host, forward);
      };
    case 'path':
      return (call) => {
        showHost(call, hostRewrite.regex.replaceAll(pathOnly(call.path), hostRewrite.substitution), forward);
      };
  }
}
