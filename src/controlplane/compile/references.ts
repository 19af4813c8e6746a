import { nearest } from '../../core/decode.js';
import type { Document, Kind } from '../yaml/document.js';
import { resourceLabel } from '../yaml/document.js';
import { type Grants, lackingGrant, type Referrer } from './grants.js';
import { type Path, pathText, Problems } from '../yaml/problem.js';
import type { MeshPort, MeshService } from './services.js';

/** Labels (`Service/reviews`) of resources that are there but wrong in themselves. */
export type Unreadable = Pick<ReadonlySet<string>, 'has'>;

/** What references are resolved with. */
export interface Known {
  readonly services: readonly MeshService[];
  readonly grants: Grants;
  /** A reference to one of these is not a second mistake. */
  readonly unreadable: Unreadable;
  /** `namespace/name` of what is registered and called where its name leads: no policy can be for it. Default: none. */
  readonly registered?: Pick<ReadonlySet<string>, 'has'>;
  /** Where references are told that are not permitted. */
  readonly warnings: Problems;
}

/** Names a port of a Service that gets calls. */
export interface BackendRef {
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly port?: number | undefined;
}

/** What such a reference comes to. */
export interface FoundBackend {
  readonly service: MeshService;
  readonly port: MeshPort;
}

/** Finds Services by name, and reports those that are not there. */
export class References {
  readonly #services: ReadonlyMap<string, MeshService>;

  constructor(
    private readonly known: Known,
    private readonly problems: Problems,
  ) {
    this.#services = new Map(known.services.map((service) => [`${service.namespace}/${service.name}`, service]));
  }

  /** The same, reporting elsewhere. */
  into(problems: Problems): References {
    return new References(this.known, problems);
  }

  /** The same, reporting elsewhere, and only fields that `silent` does not hold for. Warnings are dropped. */
  unless(problems: Problems, silent: (path: Path) => boolean): References {
    const filtered = new References({ ...this.known, warnings: new Problems() }, problems);
    const { report } = filtered;
    filtered.report = (document, path, ...rest) => {
      if (!silent(path)) report.call(filtered, document, path, ...rest);
    };
    return filtered;
  }

  /** Whether a resource is there, but wrong in itself. */
  isUnreadable(kind: Kind, namespace: string, name: string): boolean {
    return this.known.unreadable.has(resourceLabel(kind, namespace, name));
  }

  report(document: Document, path: Path, message: string, hints?: { expected?: string; nearest?: string }): void {
    const resource = resourceLabel(document.kind, document.namespace, document.name);
    this.problems.add({ ...document.locate(path), resource, path: pathText(path), message, ...hints });
  }

  /**
   * The port that calls are sent to; what is wrong is reported. Without a grant for it, one of another namespace is not looked for: "MUST NOT
   * expose information about the existence of a resource in another namespace" (ReferenceGrant). That is a warning at all times, and no reason to
   * refuse the configuration, by which the last good one would stay: who takes a grant back must have the calls stopped.
   */
  backend(document: Referrer, at: Path, ref: BackendRef): FoundBackend | undefined {
    const { namespace = document.namespace, name } = ref;
    if (!this.known.grants.permits(document, namespace, name)) {
      const message = `namespace "${namespace}" does not permit it, so no call goes there: write a ReferenceGrant in namespace "${namespace}" with spec ${lackingGrant(document, name)}`;
      this.into(this.known.warnings).report(document, [...at, 'namespace'], message, { expected: 'a ReferenceGrant' });
      return undefined;
    }
    const service = this.service(document, [...at, 'name'], namespace, name);
    const port = service && this.port(document, [...at, 'port'], service, ref.port);
    return port && { service, port };
  }

  service(document: Document, path: Path, namespace: string, name: string): MeshService | undefined {
    const service = this.#services.get(`${namespace}/${name}`);
    if (service !== undefined || this.known.unreadable.has(resourceLabel('Service', namespace, name))) return service;
    const names = this.known.services.filter((other) => other.namespace === namespace).map((other) => other.name);
    const near = nearest(name, names);
    const where = namespace === 'default' ? '' : ` in namespace "${namespace}"`;
    if (this.known.registered?.has(`${namespace}/${name}`)) {
      const message = `ServiceEntry "${name}" has "resolution: NONE", by which its hosts are called where their names lead, with default policies: write "resolution: DNS", or STATIC`;
      this.report(document, path, message, { expected: 'resolution: DNS, STATIC' });
      return undefined;
    }
    const hint = near === undefined ? `known: ${names.slice(0, 20).join(', ') || 'none'}` : `did you mean "${near}"?`;
    this.report(document, path, `there is no Service "${name}"${where}; ${hint}`, {
      expected: 'the name of a Service',
      ...(near !== undefined && { nearest: near }),
    });
    return undefined;
  }

  port(document: Document, path: Path, service: MeshService, number: number | undefined): MeshPort | undefined {
    const port =
      number === undefined ? service.defaultPort : service.ports.find((candidate) => candidate.number === number);
    if (port !== undefined) return port;
    const ports = service.ports.map((candidate) => candidate.number).join(', ') || 'none';
    const what = number === undefined ? 'has no TCP port' : `has no port ${number}; its ports: ${ports}`;
    this.report(document, path, `Service "${service.name}" ${what}`, { expected: ports });
    return undefined;
  }
}
