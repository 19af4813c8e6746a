import { appendHeader, headerFields } from '../../core/headers.js';
import type { FallbackConfig } from '../../core/model/cluster.js';
import { localReply } from '../../core/reply.js';
import { grpcReply } from './grpc-reply.js';
import type { Kind } from './kind.js';

const NOTHING = new Uint8Array(0);

/** A reply that the configuration spells out. */
export const staticKind = (config: Extract<FallbackConfig, { kind: 'static' }>): Kind => ({
  by: 'static',
  takesTime: false,
  answer: ({ protocol, method }) => {
    const headers = headerFields();
    for (const { name, value } of config.headers) appendHeader(headers, name.toLowerCase(), value);
    if (protocol === 'grpc') return grpcReply(config.grpcStatus, config.body, headers);
    if (config.body.byteLength > 0) headers['content-length'] = String(config.body.byteLength);
    return localReply(config.status, headers, method === 'HEAD' ? NOTHING : config.body);
  },
});
