import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import type { MeshConfigSpec } from '../yaml/schema/mesh-config.js';
import { type CompiledRule, compileRule } from './authorization-rules.js';
import type { Own } from './limit-rules.js';
import type { RouteDocument } from './parents.js';
import { any } from './proto.js';
import type { References } from './references.js';
import { ownConfig } from './request-filters.js';
import { type AttachedPolicies, attachPolicies, policiesOf, type RuleRef } from './request-policies.js';
import type { MeshService } from './services.js';

type Policy = DocumentOf<'AuthorizationPolicy'>;
type Action = Policy['spec']['action'];

const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const RBAC_OVERRIDE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
const OWN_RBAC = 'inmesh.dev/rbac';
const OWN_LOGGER = 'inmesh.dev/audit-log';
const PREFIX = 'inmesh.dev/authorization/';

/** The filters of a listener, in the order in which requests meet them: what is only told first, then what denies, then what allows (Istio). */
const GROUPS: readonly { readonly action: Action; readonly filter: string; readonly rbac?: string }[] = [
  { action: 'AUDIT', filter: `${PREFIX}audit`, rbac: 'LOG' },
  { action: 'DENY', filter: `${PREFIX}deny`, rbac: 'DENY' },
  // The first name of the enum never travels.
  { action: 'ALLOW', filter: `${PREFIX}allow` },
];

/** Whether a filter is one of these, which listeners have by themselves and not because a route speaks to it. */
export const isAuthorizationFilter = (name: string): boolean => name.startsWith(PREFIX);

/** Gives servers the RBAC filters that AuthorizationPolicies come to, and MeshConfig's default. */
export class AuthorizationFilters {
  readonly #attached: AttachedPolicies<Policy>;
  readonly #everywhere: readonly Policy[];
  readonly #rules = new Map<Policy, readonly CompiledRule[]>();

  constructor(
    policies: readonly Policy[],
    routes: readonly RouteDocument[],
    private readonly settings: {
      readonly authorization: MeshConfigSpec['authorization'];
      readonly trustDomain: string;
    },
    references: References,
  ) {
    this.#attached = attachPolicies(policies, routes, references);
    this.#everywhere = policies.filter(({ spec }) => spec.targetRefs === undefined);
    for (const policy of policies) {
      const { namespace, spec } = policy;
      const context = { namespace, trustDomain: settings.trustDomain, denies: spec.action === 'DENY' };
      this.#rules.set(
        policy,
        spec.rules.map((rule) => compileRule(rule, context)),
      );
    }
  }

  /** `http_filters` for the servers of a Service; empty: nobody is asked anything. `routes`: rules of routes that requests to it may match. Undefined: of servers that are no Service's. */
  filters(service: MeshService | undefined, routes: readonly RuleRef[]): Resource[] {
    return GROUPS.flatMap((group) => {
      const said = this.#say(group.action, this.#policies(service, undefined));
      const speaks = routes.some((at) => this.#differs(service, at));
      const elsewhere =
        speaks && routes.some((at) => this.#say(group.action, this.#policies(service, at)) !== undefined);
      if (said === undefined && !elsewhere) return [];
      const isOwn = this.#isOwn(group.action, service, routes);
      const config = this.#rbac(group, said);
      const typed_config = isOwn ? ownConfig(OWN_RBAC, config) : any(RBAC, config as Resource);
      return [{ name: group.filter, typed_config }];
    });
  }

  /** `typed_per_filter_config` of a rule of a route that has policies of its own. `routes`: all that the listener has. */
  overrides(service: MeshService, at: RuleRef, routes: readonly RuleRef[]): Resource {
    if (!this.#differs(service, at)) return {};
    const overrides: Record<string, Resource> = {};
    const listener = new Set(this.filters(service, routes).map(({ name }) => name));
    for (const group of GROUPS) {
      if (!listener.has(group.filter)) continue;
      const config = this.#rbac(group, this.#say(group.action, this.#policies(service, at)));
      overrides[group.filter] = this.#isOwn(group.action, service, routes)
        ? ownConfig(OWN_RBAC, config)
        : any(RBAC_OVERRIDE, Object.keys(config).length === 0 ? {} : { rbac: config as Resource });
    }
    return overrides;
  }

  #differs(service: MeshService | undefined, at: RuleRef): boolean {
    return this.#policies(service, at).length > this.#policies(service, undefined).length;
  }

  /** Those of the route, of the Service, and of the mesh. */
  #policies(service: MeshService | undefined, at: RuleRef | undefined): readonly Policy[] {
    return service === undefined ? this.#everywhere : [...policiesOf(this.#attached, service, at), ...this.#everywhere];
  }

  /** Whether the filter has to be ours: with any policy that it could get, as a route speaks to it in its own language. */
  #isOwn(action: Action, service: MeshService | undefined, routes: readonly RuleRef[]): boolean {
    const all = [undefined, ...routes].flatMap((at) => this.#policies(service, at));
    return all.some((policy) => policy.spec.action === action && this.#rules.get(policy)?.some(({ own }) => own));
  }

  /** The policies of one action, enforced and in a dry run; undefined: there is nothing to say. */
  #say(action: Action, policies: readonly Policy[]): Said | undefined {
    const of = policies.filter(({ spec }) => spec.action === action);
    const enforced = of.filter(({ spec }) => !spec.dryRun);
    const dry = of.filter(({ spec }) => spec.dryRun);
    const byDefault = this.settings.authorization?.default ?? 'allow';
    if (action !== 'ALLOW') {
      if (of.length === 0) return undefined;
      return { enforced: enforced.length > 0 ? enforced : undefined, shadow: dry.length > 0 ? dry : undefined };
    }
    const allows = enforced.length > 0 || byDefault === 'deny';
    const tries = dry.length > 0 || (byDefault === 'audit' && !allows);
    if (!allows && !tries) return undefined;
    // What would be if they were enforced: beside those that are.
    return { enforced: allows ? enforced : undefined, shadow: tries ? [...enforced, ...dry] : undefined };
  }

  /** The fields of an RBAC filter. */
  #rbac({ rbac }: (typeof GROUPS)[number], said: Said | undefined): Own {
    const rules = (policies: readonly Policy[]): Own => {
      const named = Object.fromEntries(policies.flatMap((policy) => this.#named(policy)));
      return {
        ...(rbac !== undefined && { action: rbac }),
        ...(Object.keys(named).length > 0 && { policies: named }),
        ...this.#audit(),
      };
    };
    return {
      ...(said?.enforced !== undefined && { rules: rules(said.enforced) }),
      ...(said?.shadow !== undefined && { shadow_rules: rules(said.shadow) }),
    };
  }

  #named(policy: Policy): (readonly [string, Own])[] {
    const rules = this.#rules.get(policy) ?? [];
    return rules.map(
      ({ policy: rule }, index) => [`${policy.namespace}/${policy.name}/rules[${index}]`, rule] as const,
    );
  }

  /** gRFC A59. Optional: who does not know our logger has its own. */
  #audit(): Own {
    const condition = AUDIT[this.settings.authorization?.audit ?? 'none'];
    if (condition === undefined) return {};
    const typed_config = ownConfig(OWN_LOGGER) as Own;
    return {
      audit_logging_options: {
        audit_condition: condition,
        logger_configs: [{ audit_logger: { name: OWN_LOGGER, typed_config }, is_optional: true }],
      },
    };
  }
}

interface Said {
  readonly enforced: readonly Policy[] | undefined;
  readonly shadow: readonly Policy[] | undefined;
}

const AUDIT = { none: undefined, denied: 'ON_DENY', allowed: 'ON_ALLOW', all: 'ON_DENY_AND_ALLOW' } as const;
