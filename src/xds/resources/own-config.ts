import { nearest } from '../../core/decode.js';
import type { Extension } from './any.js';
import { Message } from './message.js';
import { plainStruct } from './struct.js';

/**
 * The value of a TypedStruct of ours, read as messages are: paths lead through the fields as they were written, not through
 * `google.protobuf.Value`. A list or a field of the wrong kind is an error that says so.
 */
export function ownConfig({ message }: Extension): Message {
  return new Message(plainStruct(message.message('value')), message.at('value'), message.budget);
}

/** Refuses other fields, and names the nearest one that is known. */
export function onlyFields(message: Message, known: readonly string[]): void {
  const unknown = message.names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = nearest(unknown, known);
  const hint = near === undefined ? `known: ${known.join(', ')}` : `did you mean "${near}"?`;
  throw message.error(unknown.slice(0, 80), `unknown field; ${hint}`);
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A number of `min` to `max`, or `otherwise` when it is not set. */
export function numberIn<T>(message: Message, field: string, { min, max }: Range, otherwise: T): number | T {
  if (!message.has(field)) return otherwise;
  const value = message.double(field);
  if (value < min || value > max) throw message.error(field, `must be a number from ${min} to ${max}, got ${value}`);
  return value;
}

/** The same for whole numbers. */
export function wholeIn<T>(message: Message, field: string, range: Range, otherwise: T): number | T {
  const value = numberIn(message, field, range, otherwise);
  if (message.has(field) && !Number.isInteger(value))
    throw message.error(field, `must be a whole number, got ${String(value)}`);
  return value;
}

/** One that must be there. */
export function requiredWhole(message: Message, field: string, range: Range): number {
  const value = wholeIn(message, field, range, undefined);
  if (value === undefined) throw message.error(field, 'must be set');
  return value;
}

export function requiredNumber(message: Message, field: string, range: Range): number {
  const value = numberIn(message, field, range, undefined);
  if (value === undefined) throw message.error(field, 'must be set');
  return value;
}

/** A list of at most `max` messages. */
export function boundedMessages(message: Message, field: string, max: number): Message[] {
  const found = message.messages(field);
  if (found.length > max) throw message.error(field, `must have at most ${max}, got ${found.length}`);
  return found;
}

/** A text of 1 to `max` characters. */
export function boundedText(message: Message, field: string, max: number): string {
  const value = message.requiredText(field);
  if (value.length > max) throw message.error(field, `must have at most ${max} characters, got ${value.length}`);
  return value;
}
