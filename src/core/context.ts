import { AsyncResource } from 'node:async_hooks';

/** The process's own async context: that of the moment in which it was loaded. */
const outside = new AsyncResource('inmesh');

/**
 * Runs `task` in no request's async context. For what many calls share, a timer or a connection: its events come in the context in which it was made, which
 * else is that of whoever was first, kept for as long as it lasts.
 */
export const outsideOfCalls = <T>(task: () => T): T => outside.runInAsyncScope(task);

/**
 * The async context of now (`runInAsyncScope` goes back to it), for callbacks of the application that run in events of what is shared, and for what is sent
 * for its call later on. Promises need none: what waits for them runs in its own. 0.1 µs, so not for each call.
 */
export const callersContext = (): AsyncResource => new AsyncResource('inmesh.call');
