import { expect } from 'vitest';
import { ResourceError } from '../../src/xds/resources/message.js';

/** The message with which a resource is refused; fails when it is not, or with another kind of error. */
export function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(ResourceError);
    return (error as ResourceError).message;
  }
  throw new Error('the resource was accepted');
}
