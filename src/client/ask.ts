import { BytesBody } from '../core/body.js';
import { Call } from '../core/call.js';
import { readCallPolicy } from '../core/call-policy.js';
import { CancelledError } from '../core/errors.js';
import { headerFields } from '../core/headers.js';
import type { OutboundReply, OutboundRequest } from '../core/outbound.js';
import type { Reply } from '../core/reply.js';
import type { Service } from '../core/service.js';

/** Asked again by whoever asks, or not at all. */
export const ONCE = readCallPolicy({ retry: false, hedge: false, fallback: false }, 'ask');

/**
 * One HTTP exchange through the pipeline, for what the mesh itself asks: balanced, limited and counted like any other. Redirects are not followed. Rejects with a
 * MeshError, or an Error where the answer is longer than it may be.
 */
export function ask(service: Service, request: OutboundRequest): Promise<OutboundReply> {
  const call = new Call({
    protocol: 'http',
    scheme: request.scheme,
    authority: request.authority,
    method: request.method,
    path: request.path,
    headers: headerFields(request.headers),
    body: request.body && new BytesBody(request.body),
    timeoutMs: request.timeoutMs,
    asksLimits: true,
    policy: ONCE.policy,
  });
  if (request.host !== undefined) call.host = request.host;
  return service(call).then((reply) => whole(call, reply, request));
}

function whole(call: Call, reply: Reply, { authority, path, maxBytes }: OutboundRequest): Promise<OutboundReply> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    reply.body.pipe({
      write(chunk) {
        size += chunk.byteLength;
        if (size <= maxBytes) chunks.push(chunk);
        else {
          const detail = `${authority}${path}: the answer has more than ${maxBytes} bytes`;
          reject(new Error(detail));
          call.cancel(new CancelledError(detail, 'yes'));
        }
        return true;
      },
      end: () => resolve({ status: reply.status, headers: reply.headers, body: Buffer.concat(chunks) }),
      fail: reject,
    });
  });
}
