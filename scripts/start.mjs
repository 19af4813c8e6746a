#!/usr/bin/env node
/** `npm start`: the demo, from a fresh clone on. */
import { join } from 'node:path';
import { prepare, root, runNode } from './lib/project.mjs';

prepare();
process.exitCode = await runNode([join(root, 'examples', 'demo', 'main.mjs'), ...process.argv.slice(2)]);
