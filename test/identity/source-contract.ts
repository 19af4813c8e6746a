import { expect, test } from 'vitest';
import { MeshClosedError, type MeshError } from '../../src/core/errors.js';
import type { IdentitySource, IdentityState, IdentityWatcher } from '../../src/core/identity.js';
import { type Issued, testCa } from '../support/pki.js';

/** What a source can be made to do, for the contract that all of them keep. */
export interface SourceFixture {
  readonly source: IdentitySource;
  /** Lets the source's origin have this identity from now on, with trust in its root. */
  give(issued: Issued, root: string): Promise<void> | void;
  /** Makes the origin fail: an unreadable file, a server that is gone, a bad answer. */
  trouble(): Promise<void> | void;
  /** Lets time pass: real or fake, as the source needs it. */
  wait(): Promise<void>;
  /** After `close`: releases the rest, and throws where the source has left something behind. */
  end(): Promise<void>;
}

interface Told extends IdentityWatcher {
  readonly states: IdentityState[];
  readonly errors: MeshError[];
}

export function recorder(): Told {
  const states: IdentityState[] = [];
  const errors: MeshError[] = [];
  return { states, errors, changed: (state) => void states.push(state), failed: (error) => void errors.push(error) };
}

/**
 * The contract of an `IdentitySource` (src/core/identity.ts). Call it inside a `describe`: `identitySourceContract(() => makeFixture())`. `ownKey`: where
 * the source makes its own key, certificates are compared by whose they are only.
 */
export function identitySourceContract(make: () => Promise<SourceFixture>, { ownKey = false } = {}): void {
  const ca = testCa();
  const first = ca.issue({ name: 'web' });
  const second = ca.issue({ name: 'web', notAfter: first.notAfter + 60_000 });

  /** Waits until it holds. */
  const until = async (fixture: SourceFixture, holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 2000 && !holds(); i++) await fixture.wait();
    expect(holds()).toBe(true);
  };
  const using = async (run: (fixture: SourceFixture) => Promise<void>): Promise<void> => {
    const fixture = await make();
    try {
      await run(fixture);
    } finally {
      await fixture.source.close();
      await fixture.end();
    }
  };
  const isOf = (state: IdentityState | undefined, issued: Issued): boolean =>
    state?.identity !== undefined &&
    (ownKey ? state.identity.spiffeId === issued.spiffeId : state.identity.certificates[0] === issued.certificates[0]);

  test('who watches is told of the first state, and of each after it', () =>
    using(async (fixture) => {
      const watcher = recorder();
      fixture.source.watch(watcher);
      await fixture.give(first, ca.root);
      await until(fixture, () => isOf(watcher.states.at(-1), first));
      const told = watcher.states.length;
      await fixture.give(second, ca.root);
      await until(fixture, () => watcher.states.length > told && isOf(watcher.states.at(-1), second));
      expect(fixture.source.current).toBe(watcher.states.at(-1));
    }));

  test('who comes later is told of the current state at once, before anything else', () =>
    using(async (fixture) => {
      await fixture.give(first, ca.root);
      await until(fixture, () => fixture.source.current !== undefined);
      const watcher = recorder();
      fixture.source.watch(watcher);
      expect(watcher.states).toEqual([fixture.source.current]);
    }));

  test('a state is whole and cannot be changed: certificate, its own key, who and until when', () =>
    using(async (fixture) => {
      await fixture.give(first, ca.root);
      await until(fixture, () => isOf(fixture.source.current, first));
      const { identity } = fixture.source.current as IdentityState;
      expect(identity?.privateKey.type).toBe('private');
      expect(identity?.spiffeId).toBe(first.spiffeId);
      expect(identity?.certificates.every((pem) => pem.startsWith('-----BEGIN CERTIFICATE-----'))).toBe(true);
      if (!ownKey) expect([identity?.notBefore, identity?.notAfter]).toEqual([first.notBefore, first.notAfter]);
    }));

  test('trouble is told, and what was known before stands', () =>
    using(async (fixture) => {
      const watcher = recorder();
      fixture.source.watch(watcher);
      await fixture.give(first, ca.root);
      await until(fixture, () => isOf(watcher.states.at(-1), first));
      const before = fixture.source.current;
      await fixture.trouble();
      await until(fixture, () => watcher.errors.length > 0);
      expect(watcher.errors[0]?.message).toContain(fixture.source.name);
      expect(fixture.source.current).toBe(before);
    }));

  test('after trouble the next good state is told', () =>
    using(async (fixture) => {
      const watcher = recorder();
      fixture.source.watch(watcher);
      await fixture.give(first, ca.root);
      await until(fixture, () => isOf(watcher.states.at(-1), first));
      await fixture.trouble();
      await until(fixture, () => watcher.errors.length > 0);
      const told = watcher.states.length;
      await fixture.give(second, ca.root);
      await until(fixture, () => watcher.states.length > told && isOf(watcher.states.at(-1), second));
    }));

  test('who stops watching hears nothing more; others do', () =>
    using(async (fixture) => {
      const [gone, stays] = [recorder(), recorder()];
      const stop = fixture.source.watch(gone);
      fixture.source.watch(stays);
      stop();
      stop();
      await fixture.give(first, ca.root);
      await until(fixture, () => isOf(stays.states.at(-1), first));
      expect(gone.states).toEqual([]);
    }));

  test('closed, it keeps what it had, tells nothing more, and refuses new watchers', () =>
    using(async (fixture) => {
      const watcher = recorder();
      fixture.source.watch(watcher);
      await fixture.give(first, ca.root);
      await until(fixture, () => isOf(watcher.states.at(-1), first));
      const { current } = fixture.source;
      await Promise.all([fixture.source.close(), fixture.source.close()]);
      const told = watcher.states.length;
      expect(fixture.source.current).toBe(current);
      expect(() => fixture.source.watch(recorder())).toThrow(MeshClosedError);
      expect(watcher.states).toHaveLength(told);
    }));

  test('closed before there is anything, it leaves nothing behind', () => using(async () => {}));
}
