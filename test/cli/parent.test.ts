import { describe, expect, test } from 'vitest';
import { startedByNpx, watchParent } from '../../src/cli/parent.js';
import { FakeClock } from '../support/fake-clock.js';

describe('the parent of the command', () => {
  test.each([
    [true, 'npx inmesh proxy', { npm_command: 'exec', npm_lifecycle_script: 'inmesh proxy' }],
    [true, 'npx as it quotes names now', { npm_command: 'exec', npm_lifecycle_script: "'inmesh'" }],
    [true, 'npx as it quoted names before', { npm_command: 'exec', npm_lifecycle_script: '"inmesh" proxy' }],
    [false, 'its own file', {}],
    [false, 'a script of the package', { npm_command: 'run-script', npm_lifecycle_script: 'inmesh proxy' }],
    [false, 'something that npx runs', { npm_command: 'exec', npm_lifecycle_script: 'sh -c "nohup inmesh proxy &"' }],
  ])('is npx: %s for %s', (is, _, env) => {
    expect(startedByNpx(env)).toBe(is);
  });

  test('is told once when it is gone, and not looked after any more', async () => {
    const clock = new FakeClock();
    let parent = 7;
    let told = 0;
    watchParent(
      () => parent,
      clock,
      () => {
        told += 1;
      },
    );
    await clock.advance(60_000);
    expect(told).toBe(0);
    parent = 1;
    await clock.advance(60_000);
    expect([told, clock.pending]).toEqual([1, 0]);
  });

  test('is not looked after once the watch has ended', async () => {
    const clock = new FakeClock();
    const stop = watchParent(
      () => 7,
      clock,
      () => {},
    );
    await clock.advance(600);
    stop();
    expect(clock.pending).toBe(0);
  });
});
