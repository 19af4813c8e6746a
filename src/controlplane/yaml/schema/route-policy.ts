import * as v from 'valibot';
import {
  about,
  duration,
  headerName,
  integer,
  label,
  listOf,
  oneOf,
  pattern,
  percent,
  resource,
  subdomain,
  text,
} from './fields.js';
import { headerFormats } from './header-formats.js';
import { hedge } from './hedge.js';
import { HASH_KEYS } from './load-balancer.js';
import { routeRetry } from './route-retry.js';

const targetRef = v.strictObject({
  group: about(
    v.optional(v.literal('gateway.networking.k8s.io', 'must be "gateway.networking.k8s.io"')),
    'Group of the target.',
  ),
  kind: about(oneOf(['HTTPRoute', 'GRPCRoute']), 'Kind of the target.'),
  name: about(subdomain, 'Name of a route in the namespace of the policy.'),
  sectionName: about(v.optional(label), 'Name of one rule. Default: every rule that has no policy of its own.'),
});

const regexRewrite = v.strictObject({
  pattern: about(text(1, 1024), 'RE2 expression; every match in the path is replaced.'),
  substitution: about(
    v.optional(text(0, 1024), ''),
    'What takes its place; `\\1` stands for a group. Default: nothing.',
  ),
});

const host = pattern(/^[\x21\x22\x24-\x2e\x30-\x3e\x41-\x7e]{1,300}$/, 'a host, with or without a port');

const mirror = v.strictObject({
  hostSuffix: about(
    v.optional(v.boolean()),
    'Whether the Host of a copy ends in `-shadow` (Envoy `disable_shadow_host_suffix_append`). Default true.',
  ),
  hostRewrite: about(v.optional(host), 'Host of copies (Envoy `host_rewrite_literal`). Default: that of the request.'),
  requestHeaders: about(v.optional(headerFormats), 'Changes to the headers of copies alone.'),
});

const directResponse = v.strictObject({
  status: about(integer(200, 599), 'HTTP status.'),
  body: about(v.optional(text(0, 4096)), 'Body. Default: none.'),
});

const spec = v.strictObject({
  targetRefs: about(listOf(targetRef, 1, 16), 'Rules that the policy is for.'),
  sourceLabels: about(
    v.optional(v.record(text(1, 256), text(0, 256))),
    'Only callers with these labels (Istio `sourceLabels`). The next rule that matches is for the others. Only inmesh knows who calls.',
  ),
  sourcePrincipals: about(
    v.optional(listOf(text(1, 2048), 1, 64)),
    'Only callers with one of these SPIFFE IDs. Only inmesh knows who calls.',
  ),
  requestPercent: about(
    v.optional(percent),
    'Only this share of the calls that match, in percent (Envoy `runtime_fraction`). Default 100.',
  ),
  subset: about(
    v.optional(v.record(text(1, 256), text(0, 256))),
    'Only endpoints with these labels; the TrafficPolicy of the backend has a subset of the same labels.',
  ),
  consistentHash: about(
    v.optional(v.strictObject(HASH_KEYS)),
    'What of a call is hashed, in place of what the TrafficPolicy of the backend says.',
  ),
  stickyBackends: about(
    v.optional(v.boolean()),
    'That hash chooses among weighted backends, so that the same user meets the same one (Envoy `use_hash_policy`). Default false.',
  ),
  regexRewrite: about(v.optional(regexRewrite), 'Rewrites the path, in place of URLRewrite (Envoy `regex_rewrite`).'),
  hostRewriteHeader: about(
    v.optional(headerName),
    'The Host is the value of this request header, in place of URLRewrite (Envoy `host_rewrite_header`).',
  ),
  hostRewritePathRegex: about(
    v.optional(regexRewrite),
    'The Host is what the path becomes by this expression (Envoy `host_rewrite_path_regex`).',
  ),
  appendForwardedHost: about(
    v.optional(v.boolean()),
    'The Host before a rewrite goes along in `x-forwarded-host` (Envoy). Default false.',
  ),
  requestHeaders: about(
    v.optional(headerFormats),
    'Changes to the headers of requests, after those of the filters, with values that are made for each (Envoy `request_headers_to_add`).',
  ),
  responseHeaders: about(v.optional(headerFormats), 'The same of replies.'),
  mirror: about(v.optional(mirror), 'How the copies look that RequestMirror filters of the rule make.'),
  priority: about(
    v.optional(oneOf(['DEFAULT', 'HIGH'])),
    'HIGH: the calls count against the limits in `connectionPool.high` (Envoy `priority`). Default: what the caller says.',
  ),
  idleTimeout: about(
    v.optional(duration),
    'A call in which nothing moves for so long, in either direction, is given up (Envoy `idle_timeout`). 0s: none. Default: none.',
  ),
  retry: about(v.optional(routeRetry), "What Envoy knows of retries beyond the rule's `retry`, and on top of it."),
  hedge: about(
    v.optional(hedge),
    'A call that may be repeated is sent a second time when the first attempt is slow; the first good answer counts. `{}` turns it on with the defaults. Default: none.',
  ),
  strictSession: about(
    v.optional(v.boolean()),
    'A session of the rule whose endpoint is gone fails, in place of going to another (Envoy `strict`). Default: what the TrafficPolicy says, else false.',
  ),
  directResponse: about(v.optional(directResponse), 'Answers at once, in place of the backends.'),
});

/** What the Gateway API has no field for, on rules of its routes. */
export const routePolicy = resource('RoutePolicy', ['inmesh.dev/v1alpha1'], { spec });

export type RoutePolicySpec = v.InferOutput<typeof spec>;
