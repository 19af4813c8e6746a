#!/usr/bin/env node
/** Removes the last build: names of shared files carry a hash, and old ones must not be published. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './lib/project.mjs';

rmSync(join(root, 'dist'), { recursive: true, force: true });
