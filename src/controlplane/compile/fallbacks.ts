import { GRPC_STATUS_NAMES } from '../../core/grpc-status.js';
import type { DocumentOf } from '../yaml/document.js';
import { bodyText } from '../yaml/checks/fallback.js';
import type { Path } from '../yaml/problem.js';
import type { FallbackSpec } from '../yaml/schema/fallback.js';
import type { Plain } from './proto.js';
import type { References } from './references.js';
import type { MeshService } from './services.js';

/** What each Service falls back to, as `filter_metadata["inmesh.dev"].fallback` of its clusters has it; one that names nothing, or what it may not, is reported, and left out. */
export function resolveFallbacks(
  policies: ReadonlyMap<MeshService, DocumentOf<'TrafficPolicy'>>,
  references: References,
): ReadonlyMap<MeshService, readonly Plain[]> {
  return new Map(
    [...policies].map(([service, policy]) => [
      service,
      (policy.spec.fallback ?? []).flatMap((fallback, index) => {
        const resolved = resolve(fallback, service, policy, ['spec', 'fallback', index], references);
        return resolved === undefined ? [] : [resolved];
      }),
    ]),
  );
}

function resolve(
  { service: other, stale, static: fixed, function: given }: FallbackSpec,
  service: MeshService,
  policy: DocumentOf<'TrafficPolicy'>,
  at: Path,
  references: References,
): Plain | undefined {
  if (stale !== undefined)
    return {
      stale: { max_age_ms: stale.maxAge, max_entries: stale.maxEntries, max_entry_bytes: stale.maxEntryBytes },
    };
  if (fixed !== undefined) return { static: staticReply(fixed) };
  if (given !== undefined) return { function: { name: given.name } };
  if (other === undefined) return undefined;
  const refAt = [...at, 'service'];
  const found = references.backend(policy, refAt, other);
  if (found?.service === service) {
    references.report(policy, [...refAt, 'name'], `is the Service itself, "${service.name}": name another`);
    return undefined;
  }
  return found && { service: { cluster: found.port.resourceName } };
}

const JSON_TYPE = { name: 'content-type', value: 'application/json' };

function staticReply(fixed: NonNullable<FallbackSpec['static']>): Plain {
  const given = (fixed.headers ?? []).map(({ name, value }) => ({ name: name.toLowerCase(), value }));
  const typed = fixed.json === undefined || given.some(({ name }) => name === JSON_TYPE.name);
  const headers = typed ? given : [...given, JSON_TYPE];
  const status = GRPC_STATUS_NAMES.indexOf(fixed.grpcStatus);
  const body = bodyText(fixed);
  return {
    status: fixed.status,
    ...(headers.length > 0 && { headers }),
    ...(body !== '' && { body }),
    ...(fixed.bodyBase64 !== undefined && { body_base64: fixed.bodyBase64 }),
    ...(status > 0 && { grpc_status: status }),
  };
}
