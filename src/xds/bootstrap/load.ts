import { readFile } from 'node:fs/promises';
import { DecodeError } from '../../core/decode.js';
import type { Bootstrap } from './bootstrap.js';
import type { NodeDefaults } from './node.js';
import { parseBootstrap } from './parse.js';

/** A bootstrap that was asked for and cannot be used. Names the variable, the file, and the place in it. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError';
}

/** True when the environment names a bootstrap, be it good or bad. */
export function hasBootstrap(env: NodeJS.ProcessEnv): boolean {
  return Boolean(env.GRPC_XDS_BOOTSTRAP || env.GRPC_XDS_BOOTSTRAP_CONFIG);
}

/** The bootstrap that the environment names: a file before inline JSON (gRFC A27); undefined when it names none. */
export async function loadBootstrap(env: NodeJS.ProcessEnv, defaults: NodeDefaults): Promise<Bootstrap | undefined> {
  const file = env.GRPC_XDS_BOOTSTRAP;
  if (file) return parseText(await read(file), `GRPC_XDS_BOOTSTRAP (${file})`, defaults);
  const inline = env.GRPC_XDS_BOOTSTRAP_CONFIG;
  return inline ? parseText(inline, 'GRPC_XDS_BOOTSTRAP_CONFIG', defaults) : undefined;
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new BootstrapError(`GRPC_XDS_BOOTSTRAP names a file that cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function parseText(text: string, source: string, defaults: NodeDefaults): Bootstrap {
  try {
    return parseBootstrap(JSON.parse(text), defaults);
  } catch (cause) {
    if (cause instanceof DecodeError || cause instanceof SyntaxError)
      throw new BootstrapError(`${source}: ${cause.message}`, { cause });
    throw cause;
  }
}
