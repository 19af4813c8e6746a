import type { Call } from '../../core/call.js';
import { headerValue } from '../../core/headers.js';

/** Shows the server another host. `forward`: the one before goes along in `x-forwarded-host` (`append_x_forwarded_host`). */
export function showHost(call: Call, host: string, forward: boolean): void {
  if (forward) forwardHost(call);
  // "Envoy will put the original host in this header" - Envoy, x-envoy-original-host. gRPC knows no such field.
  if (call.protocol === 'http') call.headers['x-envoy-original-host'] = call.host;
  call.host = host;
}

/** `auto_host_rewrite`, now that the endpoint is known; one without a hostname changes nothing (Envoy, gRFC A81). Undoes that of an earlier attempt. */
export function showEndpointHost(call: Call, hostname: string | undefined): void {
  const { hostFromEndpoint } = call;
  if (hostFromEndpoint === undefined) return;
  call.host = hostFromEndpoint.host;
  if (hostname !== undefined && hostname !== '') showHost(call, hostname, hostFromEndpoint.forward);
}

/** `x-forwarded-host` has each host once, one after the other. */
function forwardHost({ headers, host }: Call): void {
  const before = headerValue(headers, 'x-forwarded-host');
  if (before === undefined || before === '') headers['x-forwarded-host'] = host;
  else if (before.split(',').at(-1)?.trim() !== host) headers['x-forwarded-host'] = `${before},${host}`;
}
