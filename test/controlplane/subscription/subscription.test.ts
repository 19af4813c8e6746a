import { describe, expect, it } from 'vitest';
import { buildSnapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import { plan } from '../../../src/controlplane/subscription/plan.js';
import { subscribe } from '../../../src/controlplane/subscription/subscribe.js';
import { type RequestOutcome, Subscription } from '../../../src/controlplane/subscription/subscription.js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type ResourceSet,
  type ResourceType,
  ROUTE,
} from '../../../src/core/resources.js';
import { jsonEncode, meshOf } from '../../support/mesh-resources.js';
import { changesBetween } from '../../../src/controlplane/subscription/changes.js';

const snapshot = (set: ResourceSet) => buildSnapshot(set, jsonEncode);
const two = snapshot(meshOf({ a: ['c1'], b: ['c2'] }));

/** A state-of-the-world subscription, and what it is told of `target`. */
class Listing {
  readonly subscription: Subscription;
  #target = two;
  #asked = false;

  constructor(type: ResourceType) {
    this.subscription = new Subscription(type, false);
  }

  ask(names: string[], nonce = '', error?: { code: number; message: string }): RequestOutcome {
    const outcome = this.subscription.answered({ nonce, error }, 5_000);
    subscribe(this.subscription, { names }, !this.#asked);
    this.#asked = true;
    return outcome;
  }

  configure(set: ResourceSet): this {
    const next = snapshot(set);
    this.subscription.changed(changesBetween(this.#target, next)[this.subscription.type]);
    this.#target = next;
    return this;
  }

  get version() {
    return this.#target.types[this.subscription.type].version;
  }

  plan() {
    return plan(this.subscription, this.subscription.available(this.#target.types[this.subscription.type]));
  }

  /** Names that are to be sent now. */
  get due(): string[] | undefined {
    return this.plan()?.resources.map(({ name }) => name);
  }

  /** Sends what is planned, under `nonce`. */
  send(nonce: string): this {
    const next = this.plan();
    if (next === undefined) throw new Error('nothing to send');
    const { difference, version, resources } = next;
    const names = resources.map(({ name }) => name);
    this.subscription.responded(difference, { nonce, version, resources: names, sentAt: 4_000 });
    return this;
  }
}

/** Has asked for `names`, and accepted what it got under nonce 1. */
function accepted(type: ResourceType, ...names: string[]): Listing {
  const listing = new Listing(type);
  listing.ask(names);
  listing.send('1').ask(names, '1');
  return listing;
}

describe('what is wanted', () => {
  it('an empty list means everything of LDS and CDS while nothing was ever named', () => {
    for (const type of [LISTENER, CLUSTER] as const) {
      const listing = new Listing(type);
      listing.ask([]);
      expect(listing.subscription.wildcard).toBe(true);
    }
  });

  it('an empty list means nothing for RDS and EDS', () => {
    for (const type of [ROUTE, ENDPOINT] as const) {
      const listing = new Listing(type);
      listing.ask([]);
      expect(listing.subscription.wildcard).toBe(false);
      expect(listing.due).toBeUndefined();
    }
  });

  it('follows the four steps of the protocol document: empty, "*" and A, A, empty', () => {
    const listing = new Listing(LISTENER);
    listing.ask([]);
    expect(listing.due).toEqual(['a', 'b']);
    listing.send('1').ask(['*', 'a'], '1');
    expect(listing.subscription.wildcard).toBe(true);
    expect(listing.due).toEqual(['a', 'b']);
    listing.ask(['a'], '1');
    expect(listing.subscription.wildcard).toBe(false);
    expect(listing.due).toEqual(['a']);
    listing.send('2').ask([], '2');
    expect(listing.subscription.wildcard).toBe(false);
    expect(listing.subscription.size).toBe(0);
    expect(listing.due).toBeUndefined();
  });

  it('"*" is a wildcard for LDS and CDS, and a name like any other for RDS and EDS', () => {
    for (const type of [LISTENER, CLUSTER, ROUTE, ENDPOINT] as const) {
      const listing = new Listing(type);
      listing.ask(['*']);
      expect(listing.subscription.wildcard).toBe(type === LISTENER || type === CLUSTER);
    }
  });

  it('listeners for servers of a Service are for who names them, and not part of everything', () => {
    const inbound = 'inmesh.dev/inbound/a';
    const withInbound = meshOf({ a: ['c1'], [inbound]: ['c1'] });
    const listing = new Listing(LISTENER).configure(withInbound);
    listing.ask(['*']);
    expect(listing.due).toEqual(['a']);
    listing.send('1').ask(['*'], '1');
    expect(listing.due).toBeUndefined();
    listing.ask(['*', inbound], '1');
    expect(listing.due).toEqual(['a', inbound]);
    listing.send('2').ask(['*'], '2');
    expect(listing.subscription.size).toBe(0);
    expect([...listing.subscription.sent.keys()]).toEqual(['a']);
    expect(listing.due).toBeUndefined();
    listing.configure(meshOf({ a: ['c1'], [inbound]: ['c2'] }));
    expect(listing.due).toBeUndefined();
  });

  it('the newest request is the whole subscription', () => {
    const listing = new Listing(ENDPOINT);
    listing.ask(['c1']);
    listing.ask(['c2']);
    expect([...listing.subscription.names]).toEqual(['c2']);
  });

  it('a repeated name counts once', () => {
    const listing = new Listing(ENDPOINT);
    listing.ask(['c1', 'c1']);
    expect(listing.due).toEqual(['c1']);
  });
});

describe('what is sent', () => {
  it('LDS and CDS: everything that is wanted, though only one resource changed', () => {
    const acked = accepted(CLUSTER);
    expect(acked.due).toBeUndefined();
    expect(acked.configure(meshOf({ a: ['c1'], b: ['c2', 'c3'] })).due).toEqual(['c1', 'c2', 'c3']);
  });

  it('LDS and CDS: a removal is a response without it', () => {
    const acked = accepted(LISTENER);
    expect(acked.configure(meshOf({ a: ['c1'] })).due).toEqual(['a']);
  });

  it('RDS and EDS: only what the client lacks', () => {
    const acked = accepted(ENDPOINT, 'c1');
    acked.ask(['c1', 'c2'], '1');
    expect(acked.due).toEqual(['c2']);
  });

  it('a change of what the client did not ask for sends nothing', () => {
    const acked = accepted(LISTENER, 'a');
    expect(acked.configure(meshOf({ a: ['c1'], b: ['c2'], other: ['c1'] })).due).toBeUndefined();
  });

  it('a name that was dropped and named again is sent again, though nothing changed', () => {
    const acked = accepted(ENDPOINT, 'c1');
    acked.ask([], '1');
    acked.ask(['c1'], '1');
    expect(acked.due).toEqual(['c1']);
  });

  it('a name that a wildcard covered before it was named is sent again', () => {
    const acked = accepted(CLUSTER);
    acked.ask(['*', 'c1'], '1');
    expect(acked.due).toEqual(['c1', 'c2']);
  });

  it('what was refused is not sent again until its content changes', () => {
    const listing = new Listing(ENDPOINT);
    listing.ask(['c1']);
    listing.send('1').ask(['c1'], '1', { code: 3, message: 'bad' });
    expect(listing.due).toBeUndefined();
    expect(listing.configure(meshOf({ a: ['c1'] }, 9_999)).due).toEqual(['c1']);
  });

  it('the first request of LDS and CDS is answered even when there is nothing', () => {
    for (const [type, answered] of [
      [CLUSTER, []],
      [ENDPOINT, undefined],
    ] as const) {
      const listing = new Listing(type).configure(meshOf({}));
      listing.ask(type === CLUSTER ? [] : ['x']);
      expect(listing.due).toEqual(answered);
    }
  });

  it('a listener that does not exist is said not to exist, once, and sent when it does', () => {
    const listing = new Listing(LISTENER);
    listing.ask(['a', 'c']);
    expect(listing.plan()).toMatchObject({ absent: ['c'] });
    listing.send('1').ask(['a', 'c'], '1');
    expect(listing.plan()).toBeUndefined();
    listing.ask(['a', 'c', 'd'], '1');
    expect(listing.plan()).toMatchObject({ absent: ['d'] });
    listing.configure(meshOf({ a: ['c1'], c: ['c1'] }));
    expect(listing.plan()).toMatchObject({ absent: ['d'] });
    expect(listing.due).toEqual(['a', 'c']);
  });

  it('what is to be told again goes out again', () => {
    const acked = accepted(ENDPOINT, 'c1', 'c2');
    acked.subscription.tellAgain('c2');
    acked.subscription.tellAgain('unknown');
    expect(acked.due).toEqual(['c2']);
  });

  it('what is gone stays for who has it, until it is released; and comes back as it is then configured', () => {
    const acked = accepted(CLUSTER);
    acked.configure(meshOf({ a: ['c1'] }));
    expect(acked.due).toBeUndefined();
    acked.subscription.release(() => true);
    expect(acked.due).toBeUndefined();
    acked.subscription.release(() => false);
    expect(acked.due).toEqual(['c1']);
  });
});

it('what is dropped, gone and asked for again while a response with it is on its way stays until that is answered', () => {
  const listing = new Listing(CLUSTER);
  listing.ask(['c1', 'c2']);
  listing.send('1').ask(['c2']);
  listing.configure(meshOf({ b: ['c2'] }));
  listing.ask(['c1', 'c2']);
  expect(listing.due).toEqual(['c2', 'c1']);
  const dropped = new Listing(CLUSTER);
  dropped.ask(['c1', 'c2']);
  dropped.send('1').ask(['c2']);
  dropped.configure(meshOf({ b: ['c2'] })).ask(['c2'], '1');
  dropped.subscription.release((name) => dropped.subscription.names.has(name));
  expect(dropped.subscription.held.size).toBe(0);
  dropped.ask(['c1', 'c2'], '1');
  expect(dropped.plan()).toMatchObject({ absent: ['c1'] });
});

it('a name dropped and asked for again before the response with it was read: what is gone then stays, as the client has it from there', () => {
  const subscription = new Subscription(ENDPOINT, true);
  const change = (subscribed: string[], unsubscribed: string[] = []) =>
    subscribe(subscription, { subscribe: subscribed, unsubscribe: unsubscribed, versions: {} }, false);
  change(['c1']);
  const first = plan(subscription, subscription.available(two.types[ENDPOINT]));
  if (first === undefined) throw new Error('nothing to send');
  subscription.responded(first.difference, { nonce: '1', version: first.version, resources: ['c1'], sentAt: 4_000 });
  change([], ['c1']);
  change(['c1']);
  subscription.answered({ nonce: '1', error: undefined }, 5_000);
  const without = snapshot(meshOf({ b: ['c2'] }));
  subscription.changed(changesBetween(two, without)[ENDPOINT]);
  const next = plan(subscription, subscription.available(without.types[ENDPOINT]));
  expect(next?.absent).toEqual([]);
  expect(next?.resources.map(({ name }) => name)).toEqual(['c1']);
});

describe('answers', () => {
  function sent(): Listing {
    const listing = new Listing(CLUSTER);
    listing.ask([]);
    return listing.send('7');
  }

  it('a response stands out until it is answered', () => {
    const listing = sent();
    expect(listing.subscription.isOutstanding).toBe(true);
    listing.ask([], '7');
    expect(listing.subscription.isOutstanding).toBe(false);
  });

  it('the last nonce without error_detail accepts', () => {
    const listing = sent();
    expect(listing.ask([], '7')).toBe('acked');
    expect(listing.subscription).toMatchObject({
      ackedVersion: two.types[CLUSTER].version,
      last: { answer: 'acked', answeredAt: 5_000 },
    });
  });

  it('the last nonce with error_detail refuses, whatever its code', () => {
    const listing = sent();
    expect(listing.ask([], '7', { code: 0, message: 'c1: bad' })).toBe('rejected');
    expect(listing.subscription.ackedVersion).toBeUndefined();
    expect(listing.subscription.rejection).toEqual({
      version: two.types[CLUSTER].version,
      code: 0,
      message: 'c1: bad',
      at: 5_000,
    });
  });

  it('a refusal is remembered after a later version was accepted', () => {
    const listing = sent();
    listing.ask([], '7', { code: 3, message: 'bad' });
    listing.configure(meshOf({ a: ['c9'], b: ['c1', 'c2'] }));
    listing.send('8').ask([], '8');
    expect(listing.subscription).toMatchObject({ ackedVersion: listing.version, rejection: { message: 'bad' } });
  });

  it('an older nonce answers nothing; what it names is noted, so that a name dropped and named again is sent again', () => {
    const listing = accepted(ENDPOINT, 'c1');
    listing.ask(['c1', 'c2'], '1');
    listing.configure(meshOf({ a: ['c1'], b: ['c2'] }, 9_999)).send('2');
    expect(listing.ask(['c2'], '1')).toBe('stale');
    expect(listing.subscription.isOutstanding).toBe(true);
    listing.ask(['c1', 'c2'], '2');
    expect(listing.due).toEqual(['c1']);
  });

  it('a nonce from another stream is taken for none', () => {
    const listing = new Listing(CLUSTER);
    expect(listing.ask([], '3')).toBe('subscribed');
    expect(listing.due).toEqual(['c1', 'c2']);
  });

  it('a second request with the same nonce changes what is wanted and answers nothing', () => {
    const listing = sent();
    listing.ask([], '7');
    expect(listing.ask(['c1'], '7', { code: 3, message: 'late' })).toBe('subscribed');
    expect(listing.subscription.rejection).toBeUndefined();
    expect([...listing.subscription.names]).toEqual(['c1']);
  });

  it('a request without a nonce changes what is wanted and leaves the response unanswered', () => {
    const listing = sent();
    expect(listing.ask(['*', 'c1'])).toBe('subscribed');
    expect(listing.subscription.isOutstanding).toBe(true);
  });
});
