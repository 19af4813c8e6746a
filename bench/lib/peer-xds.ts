import { compile } from '../../src/controlplane/compile/compile.js';
import { servicesToDocuments } from '../../src/controlplane/compile/shorthand.js';
import { startControlPlane } from '../../src/controlplane/index.js';

/** A control plane that knows one service, `reviews`, at the port given as argument. */
const { resources } = compile(servicesToDocuments({ reviews: [`127.0.0.1:${process.argv[2]}`] }));
const plane = await startControlPlane({ resources, listen: '127.0.0.1:0' });
process.send?.({ port: plane.port });
process.on('disconnect', () => process.exit());
