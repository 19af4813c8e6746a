import { type Channel, channel } from 'node:diagnostics_channel';
import type { Finished, MeshEvent } from '../core/meter.js';

/** `diagnostics_channel` names, beside `mesh:attempt:start` of the tracer and one per kind of `MeshEvent`. */
const callEnd = channel('mesh:call:end');
const attemptEnd = channel('mesh:attempt:end');

const EVENT_KINDS = [
  'xds:update',
  'xds:nack',
  'xds:connected',
  'xds:disconnected',
  'config:rejected',
  'config:changed',
  'retry',
  'retry:budget-spent',
  'mirror',
  'mirror:dropped',
  'circuit:open',
] as const satisfies readonly MeshEvent['kind'][];

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
