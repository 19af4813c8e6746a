import { beforeEach, describe, expect, test } from 'vitest';
import { AUDIT_LINES_PER_SECOND, AuditTrail } from '../../src/server/authorization-audit.js';
import type { RuleDecision } from '../../src/identity/authz/rules.js';
import { authzRequest } from '../identity/authz/requests.js';
import { FakeClock } from '../support/fake-clock.js';
import { HeardMeter } from '../support/served-over-ads.js';
import { silentLogger } from '../../src/core/log.js';

/* What servers tell of decisions: to the meter, to the logger and to standard output, within a bound. */

const denied: RuleDecision = {
  allowed: false,
  action: 'DENY',
  filter: 'deny',
  policy: 'p',
  shadow: false,
  audit: ['stdout', 'logger'],
};
const request = authzRequest({
  method: 'POST',
  path: '/a',
  clientAddress: '10.0.0.7',
  headers: { traceparent: ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'] },
});

describe('the audit trail', () => {
  let lines: string[];
  let logged: unknown[];
  let clock: FakeClock;
  let meter: HeardMeter;
  let trail: AuditTrail;
  beforeEach(() => {
    lines = [];
    logged = [];
    clock = new FakeClock();
    meter = new HeardMeter();
    const logger = { ...silentLogger, warn: (message: string, fields: unknown) => void logged.push([message, fields]) };
    trail = new AuditTrail({ clock, meter, logger, stdout: (line) => void lines.push(line) });
  });

  test('writes gRPC’s line (gRFC A59), an event, and a line that the mesh’s own logger prints: who did what from where, in which trace', () => {
    trail.tell(denied, request);
    const at = new Date(clock.wallTime()).toISOString();
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        grpc_audit_log: {
          timestamp: at,
          rpc_method: '/a',
          principal: '',
          policy_name: '',
          matched_rule: 'p',
          authorized: false,
        },
      },
    ]);
    const event = {
      rpcMethod: '/a',
      method: 'POST',
      sourceAddress: '10.0.0.7',
      principal: '',
      traceId: '0af7651916cd43dd8448eb211c80319c',
      filter: 'deny',
      matchedRule: 'p',
      authorized: false,
      shadow: false,
    };
    const { rpcMethod: path, ...said } = event;
    expect(logged).toEqual([['authorization', { path, ...said }]]);
    expect(meter.events).toEqual([{ kind: 'authz:audit', ...event }]);
  });

  test('writes so many lines a second at most, and then says how many it left out; events are all told', async () => {
    for (let i = 0; i < AUDIT_LINES_PER_SECOND + 7; i++) trail.tell(denied, request);
    expect([lines.length, meter.events.length]).toEqual([AUDIT_LINES_PER_SECOND, AUDIT_LINES_PER_SECOND + 7]);
    await clock.advance(1_000);
    trail.tell(denied, request);
    expect(logged.at(-1)).toMatchObject(['authorization', { leftOut: 7 }]);
  });
});
