import type { Bootstrap } from './bootstrap.js';

/**
 * A template with `%s` replaced: by the authority that is called, or by the "IP:port" that a server listens on. "If the template starts
 * with "xdstp:", the replaced string will be percent-encoded." - A47. "all instances of the token will be replaced" - A36
 */
export function listenerName(template: string, authority: string): string {
  const name = template.startsWith('xdstp:') ? percentEncodePath(authority) : authority;
  // A function, because `$&` in a replacement text would mean something else.
  return template.replaceAll('%s', () => name);
}

/**
 * Name of the Listener for the target `xds://<authority>/<name>`, or `xds:///<name>` when there is no authority (undefined or '').
 * Undefined when the bootstrap has no such authority: "handle as invalid target URI" - A47
 */
export function targetListenerName(
  bootstrap: Bootstrap,
  authority: string | undefined,
  name: string,
): string | undefined {
  if (authority === undefined || authority === '') return listenerName(bootstrap.listenerTemplate, name);
  const config = bootstrap.authorities.get(authority);
  return config === undefined ? undefined : listenerName(config.listenerTemplate, name);
}

/**
 * Name of the Listener for a server on `address`, "IP:port" ("[::]:8080"). Undefined when the bootstrap has no template: "server creation or
 * start will fail" - A36
 */
export function serverListenerName(bootstrap: Bootstrap, address: string): string | undefined {
  const { serverListenerTemplate } = bootstrap;
  return serverListenerTemplate === undefined ? undefined : listenerName(serverListenerTemplate, address);
}

/** "only characters allowed in a URI path as per RFC-3986 section 3.3 (which includes '/')" - A47 */
export function percentEncodePath(text: string): string {
  return percentEncode(text, /[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/gu);
}

/** What RFC 3986, section 3.2, has no room for in an authority. */
export function percentEncodeAuthority(text: string): string {
  return percentEncode(text, /[^A-Za-z0-9\-._~!$&'()*+,;=:@[\]]/gu);
}

/** By bytes, since `encodeURIComponent` throws at half a surrogate pair. */
function percentEncode(text: string, unsafe: RegExp): string {
  return text.replace(unsafe, (character) =>
    Buffer.from(character).reduce((sum, byte) => `${sum}%${byte.toString(16).toUpperCase().padStart(2, '0')}`, ''),
  );
}
