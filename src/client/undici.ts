/*
 * The parts of undici that the data path needs, taken from their own files: 25 ms at start-up instead of the 80 ms of the whole package
 * with its fetch, WebSocket, cache and mocks, and no global dispatcher is set in passing. They are the very classes that the package
 * exports, so `instanceof` holds; a test sees to that.
 */
export { default as Client } from 'undici/lib/dispatcher/client.js';
export { default as Dispatcher } from 'undici/lib/dispatcher/dispatcher.js';
export { default as errors } from 'undici/lib/core/errors.js';
export { default as util } from 'undici/lib/core/util.js';
