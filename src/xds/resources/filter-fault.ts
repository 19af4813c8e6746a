import type { FaultConfig, FaultShare } from '../../core/model/fault.js';
import { headerMatch } from './header-match.js';
import type { Message } from './message.js';
import { denominator, fractionalPercent } from './percent.js';

/** What a filter says; its name is the listener's word. */
export type Faults = Omit<FaultConfig, 'name'>;

/** Statuses of gRPC go no further; what is more is UNKNOWN (gRPC, status codes). */
const MAX_GRPC_STATUS = 16;
const UNKNOWN = 2;
const KIB = 1_024;

/**
 * `HTTPFault`, in a filter list and as an override alike (gRFC A33; the bounds are those of fault.proto). Undefined when it does nothing: Istio puts such
 * a one into every listener for gRPC. Of runtime keys the defaults count, as there is no runtime layer.
 */
export function httpFault(fault: Message): Faults | undefined {
  const delay = fault.message('delay');
  const abort = fault.message('abort');
  const throttle = fault.message('response_rate_limit');
  const nodes = fault.texts('downstream_nodes');
  const cluster = fault.text('upstream_cluster');
  const found: Faults = {
    ...happens('delay', delay && { ...delayOf(delay), ...shareOf(delay) }),
    ...happens('abort', abort && { ...abortOf(abort), ...shareOf(abort) }),
    ...happens('throttle', throttle && { ...throttleOf(throttle), ...shareOf(throttle) }),
    headers: fault.messages('headers').map(headerMatch),
    ...(cluster !== '' && { cluster }),
    ...(nodes.length > 0 && { downstreamNodes: nodes }),
    maxActive: fault.uint32Value('max_active_faults'),
  };
  return injects(found) ? found : undefined;
}

/** Left out when it befalls nobody: "percentage" is 0 when it is not set. */
export function happens<K extends string, T extends FaultShare>(name: K, fault: T | undefined): { [P in K]?: T } {
  return (fault === undefined || fault.share === 0 ? {} : { [name]: fault }) as { [P in K]?: T };
}

export const injects = ({ delay, abort, reset, throttle, truncate }: Faults): boolean =>
  [delay, abort, reset, throttle, truncate].some((fault) => fault !== undefined);

function delayOf(delay: Message) {
  if (delay.oneof('fixed_delay', 'header_delay') === 'header_delay') return { kind: 'header' } as const;
  const ms = delay.duration('fixed_delay');
  if (ms === undefined) throw delay.error('', 'must have fixed_delay or header_delay');
  if (ms === 0) throw delay.error('fixed_delay', 'must be more than 0 s');
  return { kind: 'fixed', ms } as const;
}

function abortOf(abort: Message) {
  switch (abort.oneof('http_status', 'grpc_status', 'header_abort')) {
    case 'http_status': {
      const status = abort.uint32('http_status');
      if (status < 200 || status > 599) throw abort.error('http_status', `must be from 200 to 599, got ${status}`);
      return { kind: 'http', status } as const;
    }
    case 'grpc_status': {
      const status = abort.uint32('grpc_status');
      return { kind: 'grpc', status: status > MAX_GRPC_STATUS ? UNKNOWN : status } as const;
    }
    case 'header_abort':
      return { kind: 'header' } as const;
    default:
      throw abort.error('', 'must have http_status, grpc_status or header_abort');
  }
}

function throttleOf(limit: Message) {
  switch (limit.oneof('fixed_limit', 'header_limit')) {
    case 'fixed_limit': {
      const fixed = limit.required('fixed_limit');
      const kbps = fixed.int64('limit_kbps');
      // "gte: 1" - fault.proto; and no more than can be counted.
      if (kbps < 1 || kbps > Number.MAX_SAFE_INTEGER / KIB)
        throw fixed.error('limit_kbps', `must be at least 1 KiB/s, got ${kbps}`);
      return { kind: 'fixed', bytesPerSecond: kbps * KIB } as const;
    }
    case 'header_limit':
      return { kind: 'header' } as const;
    default:
      throw limit.error('', 'must have fixed_limit or header_limit');
  }
}

/** "This header only sets numerator" - gRFC A33: the denominator is what is configured. */
function shareOf(owner: Message): FaultShare {
  const percentage = owner.message('percentage');
  if (percentage === undefined) return { share: 0 };
  const of = denominator(percentage);
  return { share: fractionalPercent(percentage), ...(of !== 100 && { of }) };
}
