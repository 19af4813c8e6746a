import { startControlPlane } from '../../../src/controlplane/index.js';
import { type Hosts, resourcesFor } from './hosts.js';

/*
 * Our control plane as a process of its own, so that a test can kill it as a machine dies: without a goodbye. Started with what it serves and
 * where it listens; tells its port, takes other hosts, and ends with its parent.
 */

const [hosts, listen] = process.argv.slice(2) as [string, string];
const plane = await startControlPlane({ resources: resourcesFor(JSON.parse(hosts) as Hosts), listen });
process.on('message', (changed: Hosts) => plane.update(resourcesFor(changed)));
process.on('disconnect', () => process.exit(0));
process.send?.(plane.port);
