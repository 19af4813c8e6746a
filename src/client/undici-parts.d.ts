/* Types of the files that `undici.ts` imports; the package declares its main entry only. */
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
