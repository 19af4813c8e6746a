import { appendHeader, headerFields } from '../../core/headers.js';
import type { FallbackConfig } from '../../core/model/fallback.js';
import { grpcReply } from './grpc-reply.js';
import { httpReply } from './http-reply.js';
import type { Kind } from './kind.js';

/** A reply that the configuration spells out. */
export const staticKind = (config: Extract<FallbackConfig, { kind: 'static' }>): Kind => ({
  by: 'static',
  takesTime: false,
  answer: (call) => {
    const headers = headerFields();
    for (const { name, value } of config.headers) appendHeader(headers, name.toLowerCase(), value);
    if (call.protocol === 'grpc') return grpcReply(config.grpcStatus, config.body, headers);
    return httpReply(call, config.status, headers, config.body);
  },
});
