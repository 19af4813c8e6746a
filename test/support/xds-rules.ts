import { expect, test } from 'vitest';
import type { Resource } from '../../src/core/resources.js';
import { refusal } from './refusal.js';
import type { Exception, Rule as ResourceRule } from './rules.js';

/** A rule like those of `rules.ts`, about a resource or about a part of one that several resources can hold. */
export interface Rule<T = Resource> extends Omit<ResourceRule, 'resource'> {
  readonly resource: T;
}

export interface Leniency<T = Resource> extends Omit<Exception, 'resource'> {
  readonly resource: T;
}

/** One test per rule; `scope` is the kind of resource as docs/xds.md names it, e.g. `LDS client`. */
export function refusesBy<T>(scope: string, read: (resource: T) => unknown, rules: readonly Rule<T>[]): void {
  for (const { rule, source, resource, problem } of rules) {
    test(`${scope}: NACK when ${rule} (${source})`, () => {
      expect(refusal(() => read(resource))).toContain(problem);
    });
  }
}

export function acceptsBy<T>(scope: string, read: (resource: T) => unknown, rules: readonly Leniency<T>[]): void {
  for (const { rule, source, resource } of rules) {
    test(`${scope}: no NACK when ${rule} (${source})`, () => {
      expect(read(resource)).toBeDefined();
    });
  }
}
