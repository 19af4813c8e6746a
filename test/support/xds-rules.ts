import { expect, test } from 'vitest';
import type { Resource } from '../../src/core/resources.js';
import { refusal } from './refusal.js';

/** A rule by which a resource must be refused, and one that breaks it alone. */
export interface Rule<T = Resource> {
  /** Completes "NACK when …". */
  readonly rule: string;
  /** The gRFC, or the .proto file whose validation says so. */
  readonly source: string;
  readonly resource: T;
  /** In the error: the place, and what was expected there. */
  readonly problem: string;
}

/** Something that is not to be refused, and why somebody could think so. */
export interface Leniency<T = Resource> {
  readonly rule: string;
  readonly source: string;
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
