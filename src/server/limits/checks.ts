import { DecodeError, number, shown, string } from '../../core/decode.js';

/** What options of limits are made of, checked: each throws DecodeError. */

export function whole(value: unknown, path: string, min: number, max: number): number {
  const checked = number(value, path, min, max);
  if (!Number.isInteger(checked)) throw new DecodeError(path, `must be a whole number, got ${checked}`);
  return checked;
}

export function oneOf<T>(value: unknown, path: string, allowed: readonly T[]): T {
  if (!allowed.includes(value as T))
    throw new DecodeError(path, `must be one of ${allowed.join(', ')}, got ${shown(value)}`);
  return value as T;
}

export function array(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new DecodeError(path, `must be a list, got ${shown(value)}`);
  return value;
}

export function flag(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') throw new DecodeError(path, `must be true or false, got ${shown(value)}`);
  return value;
}

export function text(value: unknown, path: string): string {
  if (string(value, path) === '') throw new DecodeError(path, 'must not be empty');
  return value as string;
}
