import { describe, expect, it } from 'vitest';
import { buildSnapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import { plan } from '../../../src/controlplane/subscription/plan.js';
import {
  forget,
  isOutstanding,
  noSubscription,
  receive,
  responded,
  type Subscription,
} from '../../../src/controlplane/subscription/subscription.js';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceSet, ROUTE } from '../../../src/core/resources.js';
import { jsonEncode, meshOf } from '../../support/mesh-resources.js';

const snapshot = (set: ResourceSet) => buildSnapshot(set, jsonEncode);
const two = snapshot(meshOf({ a: ['c1'], b: ['c2'] }));

const ask = (before: Subscription, names: string[], nonce = '', error?: { code: number; message: string }) =>
  receive(before, { names, nonce, error }, 5_000);

const names = (subscription: Subscription, types = two.types) =>
  plan(subscription, types[subscription.type])?.resources.map(({ name }) => name);

/** Sends what is planned, under `nonce`. */
function send(before: Subscription, nonce: string, types = two.types): Subscription {
  const next = plan(before, types[before.type]);
  if (next === undefined) throw new Error('nothing to send');
  return responded(before, { ...next, nonce, at: 4_000 });
}

describe('what is wanted', () => {
  it('an empty list means everything of LDS and CDS while nothing was ever named', () => {
    for (const type of [LISTENER, CLUSTER] as const) {
      expect(ask(noSubscription(type), []).subscription.wildcard).toBe(true);
    }
  });

  it('an empty list means nothing for RDS and EDS', () => {
    for (const type of [ROUTE, ENDPOINT] as const) {
      const { subscription } = ask(noSubscription(type), []);
      expect(subscription.wildcard).toBe(false);
      expect(names(subscription)).toBeUndefined();
    }
  });

  it('follows the four steps of the protocol document: empty, "*" and A, A, empty', () => {
    let { subscription } = ask(noSubscription(LISTENER), []);
    expect(names(subscription)).toEqual(['a', 'b']);
    subscription = ask(send(subscription, '1'), ['*', 'a'], '1').subscription;
    expect(subscription).toMatchObject({ wildcard: true });
    subscription = ask(subscription, ['a'], '1').subscription;
    expect(subscription).toMatchObject({ wildcard: false });
    expect(names(subscription)).toEqual(['a']);
    subscription = ask(send(subscription, '2'), [], '2').subscription;
    expect(subscription).toMatchObject({ wildcard: false });
    expect(subscription.names.size).toBe(0);
    expect(names(subscription)).toBeUndefined();
  });

  it('"*" is a wildcard for LDS and CDS, and a name like any other for RDS and EDS', () => {
    expect(ask(noSubscription(CLUSTER), ['*']).subscription.wildcard).toBe(true);
    expect(ask(noSubscription(ROUTE), ['*']).subscription).toMatchObject({ wildcard: false });
  });

  it('the newest request is the whole subscription', () => {
    const { subscription } = ask(ask(noSubscription(ENDPOINT), ['c1']).subscription, ['c2']);
    expect([...subscription.names]).toEqual(['c2']);
  });

  it('a repeated name counts once', () => {
    const { subscription } = ask(noSubscription(ENDPOINT), ['c1', 'c1']);
    expect(names(subscription)).toEqual(['c1']);
  });
});

describe('what is sent', () => {
  it('LDS and CDS: everything that is wanted, though only one resource changed', () => {
    const acked = ask(send(ask(noSubscription(CLUSTER), []).subscription, '1'), [], '1').subscription;
    expect(names(acked)).toBeUndefined();
    expect(names(acked, snapshot(meshOf({ a: ['c1'], b: ['c2', 'c3'] })).types)).toEqual(['c1', 'c2', 'c3']);
  });

  it('LDS and CDS: a removal is a response without it', () => {
    const acked = ask(send(ask(noSubscription(CLUSTER), []).subscription, '1'), [], '1').subscription;
    expect(names(acked, snapshot(meshOf({ a: ['c1'] })).types)).toEqual(['c1']);
  });

  it('RDS and EDS: only what the client lacks', () => {
    const acked = ask(send(ask(noSubscription(ENDPOINT), ['c1']).subscription, '1'), ['c1', 'c2'], '1').subscription;
    expect(names(acked)).toEqual(['c2']);
  });

  it('a change of what the client did not ask for sends nothing', () => {
    const acked = ask(send(ask(noSubscription(LISTENER), ['a']).subscription, '1'), ['a'], '1').subscription;
    expect(names(acked, snapshot(meshOf({ a: ['c1'], other: ['c1'] })).types)).toBeUndefined();
  });

  it('a name that was dropped and named again is sent again, though nothing changed', () => {
    let subscription = send(ask(noSubscription(ENDPOINT), ['c1']).subscription, '1');
    subscription = ask(ask(subscription, [], '1').subscription, ['c1'], '1').subscription;
    expect(names(subscription)).toEqual(['c1']);
  });

  it('a name that a wildcard covered before it was named is sent again', () => {
    const subscription = ask(send(ask(noSubscription(CLUSTER), []).subscription, '1'), ['*', 'c1'], '1').subscription;
    expect(names(subscription)).toEqual(['c1', 'c2']);
  });

  it('what was refused is not sent again until its content changes', () => {
    const refused = ask(send(ask(noSubscription(ENDPOINT), ['c1']).subscription, '1'), ['c1'], '1', {
      code: 3,
      message: 'bad',
    }).subscription;
    expect(names(refused)).toBeUndefined();
    expect(names(refused, snapshot(meshOf({ a: ['c1'] }, 9_999)).types)).toEqual(['c1']);
  });

  it('the first request of LDS and CDS is answered even when there is nothing', () => {
    const nothing = snapshot(meshOf({})).types;
    expect(names(ask(noSubscription(CLUSTER), []).subscription, nothing)).toEqual([]);
    expect(names(ask(noSubscription(ENDPOINT), ['x']).subscription, nothing)).toBeUndefined();
  });

  it('a listener that does not exist is said not to exist, once, and sent when it does', () => {
    const asked = ask(noSubscription(LISTENER), ['a', 'c']).subscription;
    expect(plan(asked, two.types[LISTENER])).toMatchObject({ absent: ['c'] });
    const told = ask(send(asked, '1'), ['a', 'c'], '1').subscription;
    expect(plan(told, two.types[LISTENER])).toBeUndefined();
    const now = snapshot(meshOf({ a: ['c1'], c: ['c1'] })).types;
    expect(plan(told, now[LISTENER])).toMatchObject({ absent: [] });
    expect(names(told, now)).toEqual(['a', 'c']);
    const another = ask(told, ['a', 'c', 'd'], '1').subscription;
    expect(plan(another, two.types[LISTENER])).toMatchObject({ absent: ['c', 'd'] });
  });

  it('what is forgotten goes out again', () => {
    const acked = ask(
      send(ask(noSubscription(ENDPOINT), ['c1', 'c2']).subscription, '1'),
      ['c1', 'c2'],
      '1',
    ).subscription;
    expect(names(forget(acked, ['c2', 'unknown']))).toEqual(['c2']);
  });
});

describe('answers', () => {
  const sent = send(ask(noSubscription(CLUSTER), []).subscription, '7');

  it('a response stands out until it is answered', () => {
    expect(isOutstanding(sent)).toBe(true);
    expect(isOutstanding(ask(sent, [], '7').subscription)).toBe(false);
  });

  it('the last nonce without error_detail accepts', () => {
    const { subscription, outcome } = ask(sent, [], '7');
    expect(outcome).toBe('acked');
    expect(subscription).toMatchObject({
      ackedVersion: two.types[CLUSTER].version,
      last: { answer: 'acked', answeredAt: 5_000 },
    });
  });

  it('the last nonce with error_detail refuses, whatever its code', () => {
    const { subscription, outcome } = ask(sent, [], '7', { code: 0, message: 'c1: bad' });
    expect(outcome).toBe('rejected');
    expect(subscription.ackedVersion).toBeUndefined();
    expect(subscription.rejection).toEqual({
      version: two.types[CLUSTER].version,
      code: 0,
      message: 'c1: bad',
      at: 5_000,
    });
  });

  it('a refusal is remembered after a later version was accepted', () => {
    const refused = ask(sent, [], '7', { code: 3, message: 'bad' }).subscription;
    const next = snapshot(meshOf({ a: ['c9'] })).types;
    const acked = ask(send(refused, '8', next), [], '8').subscription;
    expect(acked).toMatchObject({ ackedVersion: next[CLUSTER].version, rejection: { message: 'bad' } });
  });

  it('an older nonce answers nothing; what it names is noted, so that a name dropped and named again is sent again', () => {
    const types = snapshot(meshOf({ a: ['c1'], b: ['c2'] }, 9_999)).types;
    const acked = ask(send(ask(noSubscription(ENDPOINT), ['c1']).subscription, '1'), ['c1', 'c2'], '1').subscription;
    const again = send(acked, '2', types);
    const { subscription, outcome } = ask(again, ['c2'], '1');
    expect(outcome).toBe('stale');
    expect(isOutstanding(subscription)).toBe(true);
    expect(names(ask(subscription, ['c1', 'c2'], '2').subscription, types)).toEqual(['c1']);
  });

  it('a nonce from another stream is taken for none', () => {
    const { subscription, outcome } = ask(noSubscription(CLUSTER), [], '3');
    expect(outcome).toBe('subscribed');
    expect(names(subscription)).toEqual(['c1', 'c2']);
  });

  it('a second request with the same nonce changes what is wanted and answers nothing', () => {
    const acked = ask(sent, [], '7').subscription;
    const { subscription, outcome } = ask(acked, ['c1'], '7', { code: 3, message: 'late' });
    expect(outcome).toBe('subscribed');
    expect(subscription.rejection).toBeUndefined();
    expect([...subscription.names]).toEqual(['c1']);
  });

  it('a request without a nonce changes what is wanted and leaves the response unanswered', () => {
    const { subscription, outcome } = ask(sent, ['*', 'c1']);
    expect(outcome).toBe('subscribed');
    expect(isOutstanding(subscription)).toBe(true);
  });
});
