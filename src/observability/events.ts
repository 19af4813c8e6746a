import { type Channel, channel } from 'node:diagnostics_channel';
import type { Finished, MeshEvent } from '../core/meter.js';

/** `diagnostics_channel` names, beside `mesh:attempt:start` of the tracer and one per kind of `MeshEvent`. */
const callEnd = channel('mesh:call:end');
const attemptEnd = channel('mesh:attempt:end');

/** All kinds there are: the type allows no other, and misses none. */
const KINDS: Readonly<Record<MeshEvent['kind'], true>> = {
  'xds:update': true,
  'xds:nack': true,
  'xds:connected': true,
  'xds:disconnected': true,
  'config:rejected': true,
  'config:changed': true,
  retry: true,
  'retry:budget-spent': true,
  hedge: true,
  'breaker:open': true,
  'breaker:half-open': true,
  'breaker:close': true,
  fallback: true,
  'deadline:expired': true,
  shed: true,
  'limit:refused': true,
  'limit:queued': true,
  'tls:refused': true,
  'quota:used': true,
  'limit:store-lost': true,
  'limit:store-back': true,
  fault: true,
  'experiment:stopped': true,
  authz: true,
  'authz:audit': true,
  'authn:refused': true,
  mirror: true,
  'mirror:dropped': true,
  'circuit:open': true,
  'outlier:ejected': true,
  'outlier:unejected': true,
  'identity:rotate': true,
  'identity:failed': true,
  'identity:expiring': true,
  'ca:issued': true,
  'ca:refused': true,
  'health:changed': true,
};
const EVENT_KINDS = Object.keys(KINDS) as MeshEvent['kind'][];

const channels = new Map<MeshEvent['kind'], Channel>(EVENT_KINDS.map((kind) => [kind, channel(`mesh:${kind}`)]));

/** Every channel that inmesh publishes on. A message is the `Finished`, the `MeshEvent`, or `{ call }` for `mesh:attempt:start`. */
export const CHANNELS: readonly string[] = [
  'mesh:call:end',
  'mesh:attempt:start',
  'mesh:attempt:end',
  ...EVENT_KINDS.map((kind) => `mesh:${kind}`),
];

// Asking whether somebody listens takes 4 ns; without a listener nothing else happens. A listener that throws is Node's to report.
export function publishCallEnd(finished: Finished): void {
  if (callEnd.hasSubscribers) callEnd.publish(finished);
}

export function publishAttemptEnd(finished: Finished): void {
  if (attemptEnd.hasSubscribers) attemptEnd.publish(finished);
}

export function publishEvent(event: MeshEvent): void {
  const known = channels.get(event.kind);
  if (known?.hasSubscribers) known.publish(event);
}
