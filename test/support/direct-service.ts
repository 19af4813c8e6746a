import { writeGrpcTimeout } from '../../src/client/grpc/timeout.js';
import { systemClock } from '../../src/core/clock.js';
import { Deadlines } from '../../src/core/deadlines.js';
import type { Service } from '../../src/core/service.js';
import { callDeadline } from '../../src/resilience/deadline/deadline.js';
import { type Fixture, transportTo } from './http2-fixture.js';

export interface Direct {
  readonly service: Service;
  readonly fixture: Fixture;
  close(): Promise<void>;
}

/** The shortest stack that gRPC can do with: a deadline, its header, and one transport. */
export function directService(port: number, wrap: (service: Service) => Service = (service) => service): Direct {
  const fixture = transportTo(port);
  const deadlines = new Deadlines(systemClock);
  const send: Service = (call) => {
    writeGrpcTimeout(call, systemClock.now());
    return fixture.transport.call(call);
  };
  return {
    service: callDeadline({ clock: systemClock, deadlines })(wrap(send)),
    fixture,
    close: async () => {
      deadlines.close();
      await fixture.transport.close(true);
    },
  };
}
