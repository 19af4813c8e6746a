/*
 * Files of undici that are imported by themselves: 25 ms at start-up, and less for a program that makes no HTTP/1.1 call, instead of the 80 ms
 * of the whole package with its fetch, WebSocket, cache and mocks; and no global dispatcher is set in passing. They hold the very classes
 * that the package exports, so `instanceof` holds; test/mesh/start.test.ts sees to that. The package declares types for its main entry only.
 */
declare module 'undici/lib/dispatcher/client.js' {
  import { Client } from 'undici';
  export default Client;
}
declare module 'undici/lib/dispatcher/dispatcher.js' {
  import { Dispatcher } from 'undici';
  export default Dispatcher;
}
declare module 'undici/lib/core/errors.js' {
  import { errors } from 'undici';
  export default errors;
}
declare module 'undici/lib/core/util.js' {
  import { util } from 'undici';
  const parts: Pick<typeof util, 'parseHeaders' | 'headerNameToString'>;
  export default parts;
}
