// npm start, or: node examples/demo/main.mjs [mesh.yaml]
//
// A shop of six services in a mesh: a control plane serves mesh.yaml, mesh clients carry every call, and the terminal shows what they
// measure. Ctrl-C ends it; INMESH_DEMO_SECONDS=5 ends it after 5 seconds.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { meshClient } from 'inmesh';
import { startControlPlane } from 'inmesh/controlplane';
import { readAdvice } from './advice.mjs';
import { Events } from './events.mjs';
import { endpointSlices, startServices } from './services/index.mjs';
import { Table } from './table.mjs';
import { openOutput, tableText } from './terminal.mjs';
import { startTraffic } from './traffic.mjs';

const REDRAW_MS = 500;
/** Should anything hang at the end, nobody has to wait longer. */
const LAST_RESORT_MS = 5_000;

const stopped = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, resolve);
  process.stdout.on('error', resolve);
  const seconds = Number(process.env.INMESH_DEMO_SECONDS);
  if (seconds > 0) setTimeout(resolve, seconds * 1_000).unref();
});

// A short path is easier to read and to open; one that leads out of here is not short.
const file = process.argv[2] ?? relative('.', fileURLToPath(new URL('mesh.yaml', import.meta.url)));
const endpoints = await mkdtemp(join(tmpdir(), 'inmesh-demo-'));
const events = new Events();
const controlPlane = await startControlPlane({
  config: [file, endpoints],
  listen: '127.0.0.1:0',
  admin: '127.0.0.1:0',
  logger: events.controlPlaneLogger(),
});

const meshes = new Map();
const meshOf = (service) => {
  const known = meshes.get(service);
  if (known !== undefined) return known;
  const mesh = meshClient({ service, xds: `127.0.0.1:${controlPlane.port}`, logger: events.clientLogger(service) });
  meshes.set(service, mesh);
  return mesh;
};
const customers = meshOf('customers');
const instances = await startServices(meshOf);

const output = openOutput(process.stdout);
const table = new Table(meshes, output.readingsPerWindow);
const draw = () =>
  output.draw({
    title: `inmesh demo   control plane 127.0.0.1:${controlPlane.port}   admin http://127.0.0.1:${controlPlane.adminPort}   Ctrl-C ends`,
    rows: table.read(),
    advice: readAdvice(file),
    events: events.list,
  });
draw();
const redraw = setInterval(draw, REDRAW_MS);

// Nothing could be served so far, since no instance had told where it is; from here on, whatever happens is news.
events.list.length = 0;
events.onEvent = (event) => output.event(event);
let stopTraffic = () => {};
events.onConfiguration = () => {
  events.onConfiguration = () => {};
  stopTraffic = startTraffic(customers);
};
await writeFile(join(endpoints, 'endpoints.yaml'), endpointSlices(instances));

await stopped;

setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
clearInterval(redraw);
stopTraffic();
output.close(`All calls of this run:\n${tableText(table.total())}\n`);
await Promise.all([...meshes.values()].map((mesh) => mesh.close()));
await Promise.all(instances.map((instance) => instance.close()));
await controlPlane.close();
events.close();
await rm(endpoints, { recursive: true });
output.end('Everything is closed.\n');
