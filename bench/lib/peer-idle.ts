import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/*
 * A server that closes a connection which has been idle for as many milliseconds as the first argument says, and does not tell its clients for how long
 * it keeps them: the timer begins when a reply is out.
 */
const idleMs = Number(process.argv[2]);
/** The reply under way on each connection, then the timer that runs since it is out. */
const states = new WeakMap<object, { reply: unknown; timer?: NodeJS.Timeout }>();
const server = createServer((request, reply) => {
  const { socket } = request;
  clearTimeout(states.get(socket)?.timer);
  states.set(socket, { reply });
  request.resume();
  reply.setHeader('connection', 'keep-alive');
  reply.end('ok', () => {
    // The next request may be quicker than this news.
    if (states.get(socket)?.reply === reply)
      states.set(socket, { reply, timer: setTimeout(() => socket.destroy(), idleMs) });
  });
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit());
