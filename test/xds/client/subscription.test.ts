import { describe, expect, test } from 'vitest';
import { CLUSTER } from '../../../src/core/resources.js';
import { SotwSubscription } from '../../../src/xds/client/subscription/sotw.js';

function subscribed(...names: string[]): SotwSubscription {
  const subscription = new SotwSubscription(CLUSTER, () => 0);
  for (const name of names) subscription.add(name);
  subscription.streamOpened();
  return subscription;
}

describe('a subscription', () => {
  test('says nothing until something is wanted', () => {
    const subscription = subscribed();
    expect(subscription.pending).toBe(false);
    subscription.add('a');
    expect(subscription.pending).toBe(true);
    expect(subscription.request().message).toEqual({ type_url: CLUSTER, resource_names: ['a'] });
    expect(subscription.pending).toBe(false);
  });

  test('that wanted and gave up before it was told says nothing', () => {
    const subscription = subscribed();
    subscription.add('a');
    subscription.remove('a');
    expect(subscription.pending).toBe(false);
  });

  test('that has been told ends with an empty list', () => {
    const subscription = subscribed('a');
    subscription.request();
    subscription.remove('a');
    expect(subscription.pending).toBe(true);
    expect(subscription.request().message).toEqual({ type_url: CLUSTER, resource_names: [] });
  });

  test('accepts: version and nonce are the new ones', () => {
    const subscription = subscribed('a');
    subscription.request();
    expect(subscription.accepted('v1', 'n1').message).toEqual({
      type_url: CLUSTER,
      resource_names: ['a'],
      version_info: 'v1',
      response_nonce: 'n1',
    });
  });

  test('refuses: the nonce is new, the version is the last good one', () => {
    const subscription = subscribed('a');
    subscription.request();
    subscription.accepted('v1', 'n1');
    expect(subscription.rejected('n2', 'why').message).toMatchObject({
      version_info: 'v1',
      response_nonce: 'n2',
      error_detail: { code: 3, message: 'why' },
    });
    expect(subscription.rejected('n3', 'why').message).toMatchObject({ version_info: 'v1', response_nonce: 'n3' });
  });

  test('on a new stream has its version, no nonce, and everything to ask again', () => {
    const subscription = subscribed('a', 'b');
    subscription.request();
    subscription.accepted('v1', 'n1');
    subscription.streamOpened();
    expect(subscription.asked).toBe(false);
    expect(subscription.pending).toBe(true);
    expect(subscription.request().message).toEqual({
      type_url: CLUSTER,
      resource_names: ['a', 'b'],
      version_info: 'v1',
    });
  });

  test('keeps a version that was accepted after its stream had gone', () => {
    const subscription = subscribed('a');
    subscription.request();
    subscription.acceptedAfterStream('v9');
    subscription.streamOpened();
    expect(subscription.request().message).toMatchObject({ version_info: 'v9' });
  });

  // "the server must resend any newly requested resources": it can only tell from the lists that it sees - xds_protocol
  test('leaves a name out once that was left and is wanted again before the server was told, and then asks for it anew', () => {
    const subscription = subscribed('a', 'b');
    subscription.request();
    subscription.remove('a');
    subscription.add('a');
    const without = subscription.request();
    expect(without).toMatchObject({ message: { resource_names: ['b'] }, names: [] });
    expect(subscription.pending).toBe(true);
    const again = subscription.request();
    expect(again.message).toMatchObject({ resource_names: ['b', 'a'] });
    expect(again.names).toEqual(['a']);
    expect(subscription.pending).toBe(false);
  });

  test('that was renewed, left, and is wanted again, is in doubt as long as a response may be under way', () => {
    const subscription = subscribed('a');
    subscription.request();
    subscription.add('a');
    subscription.request();
    subscription.remove('a');
    subscription.add('a');
    expect(subscription.doubtfulUntil('a')).toBe(15_000);
  });
});
