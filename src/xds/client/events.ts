import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';

/** What an xDS client tells of itself. */
export type XdsMeter = Pick<Meter, 'gauge' | 'event'>;

/** A listener that throws does not keep a response from being dealt with: that would look as if the server had sent something wrong. */
export function guardedMeter(meter: XdsMeter, logger: Logger): XdsMeter {
  return {
    gauge: (name, labels, read) => meter.gauge(name, labels, read),
    event(event) {
      try {
        meter.event(event);
      } catch (error) {
        logger.error('a listener for events of the xDS client failed', { event: event.kind, error: String(error) });
      }
    },
  };
}

/** Several clients' streams to one server as one connection: it is told of with the first that stands, and its end with the last. */
export function joinConnections(meter: XdsMeter): XdsMeter {
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
