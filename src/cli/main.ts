#!/usr/bin/env node
import { processIo } from './process-io.js';
import { run } from './program.js';

// Not process.exit: what was printed may still be on its way to a pipe.
process.exitCode = await run(process.argv.slice(2), processIo());
