/**
 * `node --import inmesh/register app.js`: the mesh for an application that is not changed. Its `fetch`, and all that uses undici's
 * global dispatcher, go through a mesh configured by the environment: INMESH_SERVICE (own name), INMESH_CONFIG (YAML files or
 * folders, separated as in PATH) or INMESH_XDS (`host:port`), and what else `meshClient()` finds by itself, as the identity for mutual
 * TLS (INMESH_CA, INMESH_JOIN_TOKEN, SPIFFE_ENDPOINT_SOCKET). A mesh of the application's own reads the same. WebSockets and CONNECT go
 * the way they went before. gRPC is not touched: a channel belongs to the code that made it.
 */
import { getGlobalDispatcher, setGlobalDispatcher } from 'undici';
import { MeshDispatcher } from './client/fetch/dispatcher.js';
import { meshClient } from './index.js';

const mesh = meshClient();

globalThis.fetch = mesh.fetch as typeof fetch;
setGlobalDispatcher(new MeshDispatcher(mesh.service, { upgrades: getGlobalDispatcher() }));

// Nothing of the mesh keeps the process alive; when nothing else does either, it ends in order.
process.once('beforeExit', () => {
  void mesh.close();
});
