import type { FieldSchema, MessageSchema } from './schema.js';

/**
 * Something that has begun and not yet ended: a message, an Any before its type is known, an entry of a map, a packed list. Used again
 * for the next one at the same depth, so only what the kind needs is of this one.
 */
export class Frame {
  kind: 'message' | 'any' | 'entry' | 'packed' = 'message';
  /** The field that holds it, and its place there when that is a list or a map. */
  field: FieldSchema | undefined;
  index: number | string | undefined;
  /** Of a message or an Any. */
  type: MessageSchema | undefined;
  /** Of all but a packed list: the message, the Any, the map. */
  into: Record<string, unknown> = {};
  /** Of a packed list. */
  list: unknown[] = [];
  /** Of an entry; of an Any its type. */
  key: unknown;
  /** Of an entry. */
  value: unknown;
  /** Of an Any: where its content starts and ends. */
  start = 0;
  valueEnd = 0;
  /** Of a message: it is the content of an Any. */
  unfolded = false;
  /** What the reader goes back to when this ends. */
  outerEnd = 0;
  resumeAt = 0;
}
