import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CallRecord } from '../../src/core/call.js';
import { headerFields } from '../../src/core/headers.js';
import { seededRandom } from '../../src/core/random.js';
import { compileFormat, formatProblem } from '../../src/routing/format/format.js';
import { compileTime, UTC } from '../../src/routing/format/time.js';
import type { FormatReply } from '../../src/routing/format/values.js';
import { aCall } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

const reply: FormatReply = { status: 503, headers: headerFields({ 'x-up': 'u', 'grpc-status': '14' }) };

function fill(text: string, head: FormatReply | undefined = undefined, change?: (record: CallRecord) => void): string {
  const clock = new FakeClock();
  const call = aCall({
    method: 'POST',
    path: '/a/b?q=1%2F2&r',
    headers: headerFields({ 'x-user': ['ann', 'ben'], 'x-empty': '', 'user-agent': 'test' }),
    downstream: { remote: '10.0.0.9:5000', local: '[::1]:80', protocol: 'HTTP/2' },
  });
  call.record.route = 'r1';
  call.record.cluster = 'c1';
  call.record.endpoint = '10.0.0.1:8080';
  call.record.attempts = 2;
  call.record.startedAt = clock.now();
  change?.(call.record);
  const format = compileFormat(text);
  return typeof format === 'string' ? format : format(call, head, { clock, random: seededRandom(1) });
}

describe('a format', () => {
  test.each([
    ['plain text', 'plain text'],
    ['100%%', '100%'],
    ['%%REQ(x)%%', '%REQ(x)%'],
    ['<%REQ(X-User)%>', '<ann>'],
    ['%REQ(x-none?x-user)%', 'ann'],
    ['%REQ(x-none)%', ''],
    ['%REQ(x-user):2%', 'an'],
    ['%REQ(:method)% %REQ(:path)% %REQ(:authority)%', 'POST /a/b?q=1%2F2&r reviews'],
    ['%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', '/a/b?q=1%2F2&r'],
    ['%REQ_WITHOUT_QUERY(:path)%', '/a/b'],
    ['%PATH(NQ)%', '/a/b'],
    ['%QUERY_PARAM(q)%', '1/2'],
    ['%PROTOCOL%', 'HTTP/2'],
    ['%DOWNSTREAM_REMOTE_ADDRESS%', '10.0.0.9:5000'],
    ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%', '10.0.0.9'],
    ['%DOWNSTREAM_REMOTE_PORT%', '5000'],
    ['%DOWNSTREAM_LOCAL_ADDRESS%', '[::1]:80'],
    ['%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%', '::1'],
    ['%UPSTREAM_CLUSTER%', 'c1'],
    ['%UPSTREAM_HOST%', '10.0.0.1:8080'],
    ['%UPSTREAM_REMOTE_PORT%', '8080'],
    ['%UPSTREAM_REQUEST_ATTEMPT_COUNT%', '2'],
    ['%ROUTE_NAME%', 'r1'],
    ['%VIRTUAL_CLUSTER_NAME%', ''],
    ['%RESPONSE_FLAGS%', '-'],
    ['%DYNAMIC_METADATA(a:b):3%', ''],
    ['%UPSTREAM_METADATA(["a", "b"])%', ''],
    ['%PER_REQUEST_STATE(a.b)%', ''],
    ['%METADATA(ROUTE:a:b)%', ''],
    ['%COALESCE({"operators": ["TRACE_ID", {"command": "REQ", "param": ":method", "max_length": 2}]})%', 'PO'],
    ['%COALESCE({"operators": ["UPSTREAM_PROTOCOL", "DURATION"]})%', ''],
  ])('%s of a request: "%s"', (text, expected) => {
    expect(fill(text)).toBe(expected);
  });

  test.each([
    ['%RESPONSE_CODE%', '503'],
    ['%RESP(x-up)%', 'u'],
    ['%RESP(x-none?:status)%', '503'],
    ['%TRAILER(x-up)%', ''],
    ['%GRPC_STATUS%', 'Unavailable'],
    ['%GRPC_STATUS(SNAKE_STRING)%', 'UNAVAILABLE'],
    ['%GRPC_STATUS_NUMBER%', '14'],
    ['%RESPONSE_DURATION%', '0'],
  ])('%s of a reply: "%s"', (text, expected) => {
    expect(fill(text, reply)).toBe(expected);
  });

  test('says what was raised', () => {
    expect(fill('%RESPONSE_FLAGS%', reply, (record) => record.raise('UO'))).toBe('UO');
  });

  test('says it in long words', () => {
    const flagged = (record: CallRecord): void => {
      record.raise('UO');
      record.raise('MA');
    };
    expect(fill('%RESPONSE_FLAGS_LONG%', reply, flagged)).toBe('UpstreamOverflow,MA');
    expect(fill('%RESPONSE_FLAGS_LONG%', reply)).toBe('-');
  });

  test.each([
    ['%QUERY_PARAMS%', '/a?b=c%20d&e', 'b=c%20d&e'],
    ['%QUERY_PARAMS(DECODED)%', '/a?b=c%20d&e', 'b=c d&e'],
    ['%QUERY_PARAMS(DECODED):3%', '/a?b=c%20d&e', 'b=c'],
    ['%QUERY_PARAMS%', '/a', ''],
    ['%REQUESTED_SERVER_NAME%', '/', ''],
    ['%REQUESTED_SERVER_NAME(SNI_FIRST)%', '/', 'reviews'],
    ['%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%', '/', ''],
  ])('%s of %s: "%s"', (text, path, expected) => {
    const format = compileFormat(text);
    const env = { clock: new FakeClock(), random: seededRandom(1) };
    expect(typeof format === 'string' ? format : format(aCall({ path }), undefined, env)).toBe(expected);
  });

  test.each([
    ['10.1.10.23:80', 16, '10.1.0.0/16'],
    ['10.1.10.23:80', 32, '10.1.10.23/32'],
    ['10.1.10.23:80', 0, '0.0.0.0/0'],
    ['10.1.10.23:80', 64, ''],
    ['[2001:db8:1234:5678:9abc:def0:1234:5678]:80', 64, '2001:db8:1234:5678::/64'],
    ['[2001:db8:1234:5678:9abc:def0:1234:5678]:80', 28, '2001:db0::/28'],
    ['[::1]:80', 128, '::1/128'],
    ['[::ffff:10.0.0.1]:80', 112, '::ffff:a00:0/112'],
  ])('the network of %s with %i bits is "%s"', (remote, bits, expected) => {
    const format = compileFormat(`%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(${bits})%`);
    const downstream = { remote, local: undefined, protocol: 'HTTP/1.1' } as const;
    const env = { clock: new FakeClock(), random: seededRandom(1) };
    expect(typeof format === 'string' ? format : format(aCall({ downstream }), undefined, env)).toBe(expected);
  });

  test('makes a UUID where one is asked for', () => {
    expect(fill('%UNIQUE_ID%')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('leaves out what cannot stand in a header field', () => {
    const format = compileFormat('%QUERY_PARAM(q)%');
    const call = aCall({ path: '/?q=a%0d%0ab%E2%82%AC' });
    expect(
      typeof format !== 'string' && format(call, undefined, { clock: new FakeClock(), random: seededRandom(1) }),
    ).toBe('ab');
  });

  test('without a command is text, for which nothing is done per call', () => {
    expect(compileFormat('100%%')).toBe('100%');
  });

  test.each([
    ['%', 'has no valid command at position 0'],
    ['50% off', 'has no valid command at position 2'],
    ['%REQ(x)', 'has no valid command at position 0'],
    ['%NO_SUCH%', '%NO_SUCH% is no command that is known'],
    ['%PROTOCOL(x)%', '%PROTOCOL% takes no argument'],
    ['%REQ%', '%REQ% needs an argument: %REQ(…)%'],
    ['%REQ()%', '%REQ% needs an argument'],
    ['%PROTOCOL:3%', '%PROTOCOL% takes no maximal length'],
    ['%REQ(a?b?c)%', '%REQ(a?b?c)% must have at most one alternative'],
    ['%START_TIME(%Q)%', '%START_TIME(%Q)% "%Q" is no part of a time format'],
    ['%GRPC_STATUS(ROMAN)%', 'must be CAMEL_STRING'],
    ['%ENVIRONMENT(HOME)%', 'configuration from outside may not read variables of this process'],
    ['%FILE_CONTENT(/etc/passwd)%', 'configuration from outside may not read files of this machine'],
    ['%SECRET(key)%', 'configuration from outside may not read secrets of this process'],
    ['%CEL(request.path)%', 'expressions are not evaluated here'],
    ['%REQUEST(x)%', 'those that have a value are DOWNSTREAM_DIRECT_LOCAL_ADDRESS'],
    ['%QUERY_PARAMS(SOME)%', 'must be ORIG or DECODED'],
    ['%REQUESTED_SERVER_NAME(SNI)%', 'must have SNI_ONLY, SNI_FIRST or HOST_FIRST before the colon'],
    ['%REQUESTED_SERVER_NAME(SNI_FIRST:NOWHERE)%', 'must have ORIG, HOST or ORIG_OR_HOST after the colon'],
    ['%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(129)%', 'must be 0 to 128'],
    ['%COALESCE(REQ)%', 'must be a JSON object'],
    ['%COALESCE({"operators": []})%', 'a list of 1 to 10 commands'],
    ['%COALESCE({"operators": [1]})%', 'has an operator that is neither a name nor'],
    ['%COALESCE({"operators": ["REQ"]})%', '%REQ% needs an argument'],
    ['%COALESCE({"operators": ["NOPE"]})%', '%NOPE% is no command that is known'],
    ['%COALESCE({"operators": ["COALESCE"]})%', 'must not stand in itself'],
  ])('%s is refused: %s', (text, problem) => {
    expect(formatProblem(text)).toContain(problem);
  });

  test('whatever it is, it is filled in or refused, and what is filled in can stand in a header', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '%',
        '%%',
        '(',
        ')',
        ':',
        '10',
        '%REQ(',
        '%REQ(x-user)%',
        '%PROTOCOL%',
        '%START_TIME(%s.%3f)%',
        'é',
      ),
      fc.string({ maxLength: 4 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
        (text) => {
          if (formatProblem(text) !== undefined || !text.includes('%')) return;
          expect(typeof fill(text)).toBe('string');
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe('a time format', () => {
  // 2001-02-03T04:05:06.789Z, a Saturday.
  const at = Date.UTC(2001, 1, 3, 4, 5, 6, 789);
  test.each([
    [undefined, '2001-02-03T04:05:06.789Z'],
    ['%Y/%m/%dT%H:%M:%S%z %s', '2001/02/03T04:05:06+0000 981173106'],
    ['%F %T', '2001-02-03 04:05:06'],
    ['%3s %6s %9s', '981173106789 981173106789000 981173106789000000'],
    ['%f %3f %1f', '789000000 789 7'],
    ['%a %A %b %B %e %j %u %w', 'Sat Saturday Feb February  3 034 6 6'],
    ['%I:%M %p', '04:05 AM'],
    ['%Ez %E0S %%', '+00:00 06 %'],
  ])('%s', (format, expected) => {
    expect(compileTime(format)(at, UTC)).toBe(expected);
  });
});
