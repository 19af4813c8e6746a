#!/usr/bin/env node
/** `npm start`: the demo, from a fresh clone on. In this process, so that every signal reaches it. */
import { prepare } from './lib/project.mjs';

const PARENT_CHECK_MS = 500;

prepare();

// npm runs this in a shell, and tells that shell when it is to end; the shell ends, and tells nobody.
const parent = process.ppid;
setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGTERM'), PARENT_CHECK_MS).unref();

await import('../examples/demo/main.mjs');
