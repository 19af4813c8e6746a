import { expect } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { type Bootstrap, parseBootstrap } from '../../../src/xds/bootstrap/index.js';

export const defaults = { service: 'shop', random: seededRandom(1) };

/** The least that is a server. */
export const server = { server_uri: 'xds:443', channel_creds: [{ type: 'insecure' }] };

export const parse = (json: unknown): Bootstrap => parseBootstrap(json, defaults);

/** The bootstrap with one more field at the top. */
export const withField = (name: string, value: unknown): Bootstrap => parse({ xds_servers: [server], [name]: value });

/** The only server of a bootstrap with these fields. */
export const parseServer = (fields: object) => parse({ xds_servers: [{ ...server, ...fields }] }).servers[0];

/** What `toThrow` takes: a DecodeError with exactly this message. */
export const decodeError = (message: string): unknown => expect.objectContaining({ name: 'DecodeError', message });
