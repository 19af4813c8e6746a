import type { Meter } from '../../core/meter.js';

/** Several clients' streams to one server as one connection: it is told of with the first that stands, and its end with the last. */
export function joinConnections(meter: Pick<Meter, 'gauge' | 'event'>): Pick<Meter, 'gauge' | 'event'> {
  const standing = new Map<string, number>();
  return {
    gauge: (name, labels, read) => meter.gauge(name, labels, read),
    event(event) {
      if (event.kind !== 'xds:connected' && event.kind !== 'xds:disconnected') {
        meter.event(event);
        return;
      }
      const before = standing.get(event.server) ?? 0;
      const now = before + (event.kind === 'xds:connected' ? 1 : -1);
      if (now > 0) standing.set(event.server, now);
      else standing.delete(event.server);
      if (before === 0 || now === 0) meter.event(event);
    },
  };
}
