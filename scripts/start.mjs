#!/usr/bin/env node
/** `npm start`: the demo, from a fresh clone on. In this process, so that every signal reaches it. */
import { prepare } from './lib/project.mjs';

prepare();
await import('../examples/demo/main.mjs');
