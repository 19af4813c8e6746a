import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerFields, type HeaderFields } from '../../src/core/headers.js';
import type { HeaderMutation } from '../../src/core/model/route.js';
import { seededRandom } from '../../src/core/random.js';
import { compileMutation, mutatedNames } from '../../src/routing/header-mutation.js';
import { aCall } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

const env = { clock: new FakeClock(), random: seededRandom(1) };
const mutation = (fields: Partial<HeaderMutation>): HeaderMutation => ({ remove: [], set: [], ...fields });
type Setting = HeaderMutation['set'][number];
const set = (name: string, value: string, action: Setting['action'], keepEmpty?: boolean): Setting => ({
  name,
  value,
  action,
  keepEmpty,
});

function change(how: HeaderMutation, fields: Record<string, string | string[]>): HeaderFields {
  const headers = headerFields(fields);
  compileMutation(how)?.(headers, aCall({ headers }), undefined, env);
  return headers;
}

describe('changes of headers', () => {
  test.each<[Setting['action'], Record<string, string>, string | string[] | undefined]>([
    ['append', { x: '0' }, ['0', '1']],
    ['append', {}, '1'],
    ['overwrite', { x: '0' }, '1'],
    ['overwrite', {}, '1'],
    ['addIfAbsent', { x: '0' }, '0'],
    ['addIfAbsent', {}, '1'],
    ['overwriteIfExists', { x: '0' }, '1'],
    ['overwriteIfExists', {}, undefined],
  ])('%s, before %o', (action, before, after) => {
    expect(change(mutation({ set: [set('x', '1', action)] }), before)['x']).toEqual(after);
  });

  test('headers are removed before they are added', () => {
    expect(change(mutation({ remove: ['x'], set: [set('x', '1', 'append')] }), { x: '0' })['x']).toBe('1');
  });

  test('within a level, what overwrites goes before what adds, whatever their order', () => {
    const both = mutation({ set: [set('x', 'added', 'append'), set('x', 'put', 'overwrite')] });
    expect(change(both, { x: '0' })['x']).toEqual(['put', 'added']);
  });

  test('within a level, all ask whether a header is there before any is changed', () => {
    const twice = mutation({ set: [set('x', '1', 'addIfAbsent'), set('x', '2', 'addIfAbsent')] });
    expect(change(twice, {})['x']).toEqual(['1', '2']);
  });

  test('within a level, values are made of the headers as they were', () => {
    const swap = mutation({ set: [set('a', '%REQ(b)%', 'overwrite'), set('b', '%REQ(a)%', 'overwrite')] });
    expect(change(swap, { a: '1', b: '2' })).toEqual(headerFields({ a: '2', b: '1' }));
  });

  test('a level sees what the one before it did', () => {
    const levels = mutation({
      set: [set('x', '1', 'append')],
      next: mutation({ remove: ['y'], set: [set('x', '%REQ(x)%2', 'overwrite')] }),
    });
    expect(change(levels, { y: '0' })).toEqual(headerFields({ x: '12' }));
    expect([...mutatedNames(levels)].sort()).toEqual(['x', 'y']);
  });

  test('a value that comes out empty adds nothing, unless it is to be kept', () => {
    expect(change(mutation({ set: [set('x', '%REQ(none)%', 'append')] }), {})).toEqual(headerFields());
    expect(change(mutation({ set: [set('x', '%REQ(none)%', 'append', true)] }), {})).toEqual(headerFields({ x: '' }));
    expect(change(mutation({ set: [set('x', '', 'overwrite')] }), { x: '0' })['x']).toBe('0');
  });

  test('none are nothing to do', () => {
    expect(compileMutation(undefined)).toBeUndefined();
    expect(compileMutation(mutation({ set: [set('x', '', 'append')] }))).toBeUndefined();
  });

  test('one, compiled on its own, does what it does among others', () => {
    const name = fc.constantFrom('a', 'b');
    const one = fc.record({
      name,
      value: fc.constantFrom('1', '%REQ(a)%', ''),
      action: fc.constantFrom(
        'append' as const,
        'addIfAbsent' as const,
        'overwrite' as const,
        'overwriteIfExists' as const,
      ),
      keepEmpty: fc.boolean(),
    });
    const idle = set('z', '', 'append', true);
    fc.assert(
      fc.property(one, fc.array(name, { maxLength: 1 }), fc.subarray(['a', 'b']), (setting, remove, present) => {
        const fields = Object.fromEntries(present.map((key) => [key, '0']));
        const { z: _, ...among } = change(mutation({ remove, set: [setting, idle] }), fields);
        expect({ ...change(mutation({ remove, set: [setting] }), fields) }).toEqual(among);
      }),
    );
  });
});
