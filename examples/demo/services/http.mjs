import { once } from 'node:events';
import { createServer } from 'node:http';
import { meshHandler } from 'inmesh';

/**
 * Serves `handler` (gets the request, returns what the reply's JSON is made of) on a free port of the loopback interface. `meshHandler` is
 * all it takes for the handler's own calls to carry the deadline and the trace of the request.
 */
export async function serveHttp(handler) {
  const server = createServer(
    meshHandler(async (request, response) => {
      const { status, body } = await Promise.resolve(handler(request)).catch(failed);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** A call made for this request failed: mesh errors know which status that is for the caller. */
function failed(error) {
  return { status: error.httpStatus ?? error.cause?.httpStatus ?? 500, body: { error: error.message } };
}

/** Takes about `ms` milliseconds, as real work does: sometimes less, sometimes more. */
export const work = (ms) => new Promise((resolve) => setTimeout(resolve, ms * (0.5 + Math.random())));

/** Calls another service and takes its JSON; an error status is an error here. */
export async function getJson(mesh, url, init) {
  const response = await mesh.fetch(url, init);
  if (response.ok) return response.json();
  await response.body?.cancel();
  throw Object.assign(new Error(`${url}: ${response.status}`), { httpStatus: response.status });
}
