import { nearest } from '../../core/decode.js';
import type { Document, Kind } from '../yaml/document.js';
import { resourceLabel } from '../yaml/document.js';
import { type Path, pathText, type Problems } from '../yaml/problem.js';
import type { MeshPort, MeshService } from './services.js';

/** Labels (`Service/reviews`) of resources that are there but wrong in themselves. */
export type Unreadable = Pick<ReadonlySet<string>, 'has'>;

/** Finds Services by name, and reports those that are not there. */
export class References {
  readonly #services: ReadonlyMap<string, MeshService>;

  /** A reference to an `unreadable` resource is not a second mistake. */
  constructor(
    private readonly services: readonly MeshService[],
    private readonly problems: Problems,
    private readonly unreadable: Unreadable,
  ) {
    this.#services = new Map(services.map((service) => [`${service.namespace}/${service.name}`, service]));
  }

  /** The same, reporting elsewhere. */
  into(problems: Problems): References {
    return new References(this.services, problems, this.unreadable);
  }

  /** Whether a resource is there, but wrong in itself. */
  isUnreadable(kind: Kind, namespace: string, name: string): boolean {
    return this.unreadable.has(resourceLabel(kind, namespace, name));
  }

  report(document: Document, path: Path, message: string, hints?: { expected?: string; nearest?: string }): void {
    const resource = resourceLabel(document.kind, document.namespace, document.name);
    this.problems.add({ ...document.locate(path), resource, path: pathText(path), message, ...hints });
  }

  service(document: Document, path: Path, namespace: string, name: string): MeshService | undefined {
    const service = this.#services.get(`${namespace}/${name}`);
    if (service !== undefined || this.unreadable.has(resourceLabel('Service', namespace, name))) return service;
    const names = this.services.filter((other) => other.namespace === namespace).map((other) => other.name);
    const near = nearest(name, names);
    const where = namespace === 'default' ? '' : ` in namespace "${namespace}"`;
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
