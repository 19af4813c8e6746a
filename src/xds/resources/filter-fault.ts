import type { Steps } from '../../core/steps.js';
import { headerMatch } from './header-match.js';
import type { Message } from './message.js';
import { fractionalPercent } from './percent.js';

/** `HTTPFault`, in a filter list and as an override alike (gRFC A33; the bounds are those of fault.proto). */
export function* checkFault(fault: Message): Steps<void> {
  const delay = fault.message('delay');
  if (delay !== undefined) {
    if (delay.oneof('fixed_delay', 'header_delay') === undefined)
      throw delay.error('', 'must have fixed_delay or header_delay');
    if (delay.duration('fixed_delay') === 0) throw delay.error('fixed_delay', 'must be more than 0 s');
    checkPercentage(delay);
  }
  const abort = fault.message('abort');
  if (abort !== undefined) {
    checkAbort(abort);
    checkPercentage(abort);
  }
  for (const matcher of fault.each('headers')) {
    headerMatch(matcher);
    yield;
  }
  fault.uint32Value('max_active_faults');
}

function checkAbort(abort: Message): void {
  switch (abort.oneof('http_status', 'grpc_status', 'header_abort')) {
    case 'http_status': {
      const status = abort.uint32('http_status');
      if (status < 200 || status > 599) throw abort.error('http_status', `must be from 200 to 599, got ${status}`);
      return;
    }
    case 'grpc_status':
      abort.uint32('grpc_status');
      return;
    case 'header_abort':
      return;
    default:
      throw abort.error('', 'must have http_status, grpc_status or header_abort');
  }
}

function checkPercentage(owner: Message): void {
  const percentage = owner.message('percentage');
  if (percentage !== undefined) fractionalPercent(percentage);
}

/** Istio puts a fault filter that does nothing into every listener for gRPC. */
export function injectsFault(fault: Message): boolean {
  return ['delay', 'abort', 'response_rate_limit'].some((name) => fault.has(name));
}
