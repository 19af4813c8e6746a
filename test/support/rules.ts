import { expect } from 'vitest';
import { type Resource, type ResourceType, ENDPOINT } from '../../src/core/resources.js';
import { decodeNow } from './decoders.js';
import { refusal } from './refusal.js';

/** One reason to refuse a resource, as `docs/xds.md` points at it: its test is called `RDS: NACK when <rule> (<source>)`. */
export interface Rule {
  readonly rule: string;
  /** gRFC, or the .proto file that says so. */
  readonly source: string;
  readonly resource: Resource;
  /** Part of the message that the control plane is told. */
  readonly problem: string;
}

/** One thing that must not be a reason to refuse a resource. */
export type Exception = Omit<Rule, 'problem'>;

const nameOf = (type: ResourceType, resource: Resource): string =>
  String(resource[type === ENDPOINT ? 'cluster_name' : 'name']);

export function expectRefused(type: ResourceType, { resource, problem }: Rule): void {
  expect(refusal(() => decodeNow(type, resource, nameOf(type, resource)))).toContain(problem);
}

export function expectAccepted(type: ResourceType, { resource }: Exception): unknown {
  return decodeNow(type, resource, nameOf(type, resource));
}
