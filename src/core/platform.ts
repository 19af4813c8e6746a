/**
 * The platform's own class behind a global name. Frameworks put others there that extend it, as `@hono/node-server` does with Request and Response: objects of the
 * platform are no instances of those.
 */
export function platformClass<T extends object>(named: T): T {
  let found = named;
  for (;;) {
    const above = Object.getPrototypeOf(found) as T;
    if (above === Function.prototype || above === null) return found;
    found = above;
  }
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

// The names are looked up when they are needed: until then Node has not loaded what they stand for.
export const isRequest = (value: unknown): value is Request =>
  isObject(value) && value instanceof platformClass(Request);
export const isResponse = (value: unknown): value is Response =>
  isObject(value) && value instanceof platformClass(Response);
