import { type Body, BytesBody } from '../../core/body.js';
import { Call } from '../../core/call.js';
import { callersContext } from '../../core/context.js';
import { CancelledError, MeshError } from '../../core/errors.js';
import { copyHeaders } from '../../core/headers.js';
import type { ForwardAction, MirrorPolicy } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';
import type { Filter } from '../../core/service.js';
import { DEFAULT_HEAD_TIMEOUT_MS } from '../../resilience/deadline/deadline.js';
import { compileMutation } from '../../routing/header-mutation.js';
import type { Upstream } from '../endpoints/upstream.js';
import type { ClientEnv } from '../env.js';
import { MirroredBody } from './mirror-body.js';

/** Mirrored calls of one route and policy under way at once; more are left out. */
export const MAX_MIRRORS = 64;

type Use = (cluster: string) => Upstream | MeshError | undefined;

/**
 * Sends copies of a share of the calls to other clusters and throws the replies away (Envoy `request_mirror_policies`). The call proper goes first, waits for
 * none of them, and hears nothing of what becomes of them: they have a switch, a deadline and a record of their own, and are attempted once. Undefined when
 * there is no policy.
 */
export function mirrorCalls(action: ForwardAction, use: Use, env: ClientEnv): Filter | undefined {
  const mirrors = (action.mirrors ?? [])
    .filter(({ share }) => share > 0)
    .map((policy) => new Mirror(policy, action.timeoutMs || DEFAULT_HEAD_TIMEOUT_MS, use, env));
  if (mirrors.length === 0) return undefined;
  return (next) => (call) => {
    const chosen = mirrors.filter((mirror) => mirror.wants());
    if (chosen.length === 0) return next(call);
    // Before the call proper goes, which may change its own.
    const copies = chosen.map((mirror) => ({ mirror, copy: mirror.copy(call) }));
    const send = (body: Body | undefined): void => {
      for (const { mirror, copy } of copies) mirror.send(copy, body);
    };
    const { body } = call;
    const ready = body === undefined || body instanceof BytesBody;
    if (!ready) {
      // Its last byte comes when it comes; the copies go out in the context of their call.
      const context = callersContext();
      call.body = new MirroredBody(
        body,
        (copy) => context.runInAsyncScope(send, undefined, copy),
        () => {
          for (const { mirror } of copies) mirror.dropped('body-too-long');
        },
      );
    }
    const replying = next(call);
    if (!ready) return replying;
    if (call.record.endpoint !== undefined) {
      send(body);
      return replying;
    }
    // It waits for an endpoint, or there is none: what is not sent has no copies either (Envoy).
    const late = (): void => {
      if (call.record.endpoint !== undefined) send(body);
    };
    replying.then(late, late);
    return replying;
  };
}

class Mirror {
  readonly #changeHeaders;
  #underWay = 0;

  constructor(
    private readonly policy: MirrorPolicy,
    /** For the whole exchange. */
    private readonly timeoutMs: number,
    private readonly use: Use,
    private readonly env: ClientEnv,
  ) {
    this.#changeHeaders = compileMutation(policy.requestHeaders);
  }

  /** By chance: whether this call is one of the share. */
  wants(): boolean {
    const { share } = this.policy;
    return share >= 1 || this.env.random.next() < share;
  }

  copy(call: Call): Call {
    const { protocol, scheme, authority, method, path, downstream } = call;
    const copy = new Call({
      protocol,
      scheme,
      authority,
      method,
      path,
      downstream,
      headers: copyHeaders(call.headers),
    });
    const { hostRewrite, shadowSuffix } = this.policy;
    copy.host = hostRewrite ?? (shadowSuffix ? shadowHost(call.host) : call.host);
    copy.hash = call.hash;
    copy.record.route = call.record.route;
    this.#changeHeaders?.(copy.headers, copy, undefined, this.env);
    return copy;
  }

  dropped(reason: 'no-cluster' | 'overflow' | 'body-too-long'): void {
    this.env.meter.event({ kind: 'mirror:dropped', cluster: this.policy.cluster, reason });
  }

  send(copy: Call, body: Body | undefined): void {
    const { env } = this;
    const { cluster } = this.policy;
    const upstream = this.use(cluster);
    const absent = upstream === undefined || upstream instanceof MeshError;
    if (absent || this.#underWay >= MAX_MIRRORS) return this.dropped(absent ? 'no-cluster' : 'overflow');
    const startedAt = env.clock.now();
    copy.body = body;
    copy.attempt = 1;
    copy.record.attempts = 1;
    copy.record.startedAt = startedAt;
    copy.record.cluster = upstream.statName;
    copy.deadline = startedAt + this.timeoutMs;
    this.#underWay++;
    const limit = env.deadlines.watch(copy.deadline, () => copy.cancel(tooSlow()));
    const over = (): void => {
      limit.stop();
      this.#underWay--;
    };
    env.meter.event({ kind: 'mirror', cluster });
    // Whatever becomes of it is nobody's business but its cluster's metrics.
    upstream.service(copy).then((reply) => {
      reply.onEnd(over);
      drain(reply);
    }, over);
  }
}

/** `host-shadow`, before the port: "This allows upstream logging to make more sense" - Envoy, shadow_writer_impl.cc. */
export function shadowHost(host: string): string {
  const colon = host.lastIndexOf(':');
  return colon > host.lastIndexOf(']') ? `${host.slice(0, colon)}-shadow${host.slice(colon)}` : `${host}-shadow`;
}

const tooSlow = (): CancelledError => new CancelledError('a mirrored call took too long');

const drain = ({ body }: Reply): void => {
  body.pipe({ write: () => true, end() {}, fail() {} });
};
