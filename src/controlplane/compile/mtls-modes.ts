import type { DocumentOf } from '../yaml/document.js';
import type { Path } from '../yaml/problem.js';
import type { MtlsMode } from '../yaml/schema/mtls.js';
import type { References } from './references.js';
import type { MeshPort, MeshService } from './services.js';

type Policy = DocumentOf<'AuthenticationPolicy'>;

/** What is said of one Service. */
interface Own {
  mode: MtlsMode | undefined;
  readonly ports: Map<number, MtlsMode>;
}

/**
 * How mutual TLS is between the Services of a mesh, by port: the most specific word counts, that of a port, then of the Service, then of the mesh. What is
 * said twice is reported, for who reads the first of the two must not be wrong.
 */
export class MtlsModes {
  /** Of servers that are no Service's, too. */
  readonly mesh: MtlsMode;
  readonly #own = new Map<MeshService, Own>();

  constructor(
    config: DocumentOf<'MeshConfig'> | undefined,
    services: readonly MeshService[],
    policies: readonly Policy[],
    private readonly references: References,
  ) {
    for (const service of services) this.#takeService(service);
    let mesh = config?.spec.mtls;
    for (const policy of policies) {
      const { mtls, targetRefs } = policy.spec;
      if (mtls === undefined) continue;
      if (targetRefs === undefined) {
        if (mesh !== undefined && mtls.mode !== undefined) this.#twice(policy, ['spec', 'mtls', 'mode'], 'the mesh');
        else mesh = mtls.mode;
        continue;
      }
      targetRefs.forEach(({ name }, index) => {
        const service = references.service(policy, ['spec', 'targetRefs', index, 'name'], policy.namespace, name);
        if (service !== undefined) this.#take(policy, mtls, service);
      });
    }
    this.mesh = mesh ?? 'disabled';
  }

  of(service: MeshService, port: MeshPort): MtlsMode {
    const own = this.#own.get(service);
    // A server that has a name of its own is outside of the mesh, unless somebody says that it is not.
    const others = port.dnsName === undefined && !port.tls ? this.mesh : 'disabled';
    return own?.ports.get(port.number) ?? own?.mode ?? others;
  }

  #takeService(service: MeshService): void {
    const mode = service.document.spec.mtls;
    if (mode === undefined) return;
    this.#own.set(service, { mode, ports: new Map() });
    if (mode === 'disabled') return;
    const index = (service.document.spec.ports ?? []).findIndex(({ appProtocol }) => appProtocol === 'https');
    if (index >= 0)
      this.references.report(
        service.document,
        ['spec', 'ports', index, 'appProtocol'],
        `"https" is TLS without the mesh's identity, and the Service has "mtls: ${mode}": keep one of them`,
      );
  }

  #take(policy: Policy, mtls: NonNullable<Policy['spec']['mtls']>, service: MeshService): void {
    const own: Own = this.#own.get(service) ?? { mode: undefined, ports: new Map() };
    this.#own.set(service, own);
    const whose = `Service "${service.name}"`;
    if (mtls.mode !== undefined) {
      if (own.mode !== undefined) this.#twice(policy, ['spec', 'mtls', 'mode'], whose);
      own.mode = mtls.mode;
    }
    for (const [text, mode] of Object.entries(mtls.ports ?? {})) {
      const at = ['spec', 'mtls', 'ports', text];
      const port = this.references.port(policy, at, service, Number(text));
      if (port === undefined) continue;
      if (own.ports.has(port.number)) this.#twice(policy, at, `port ${text} of ${whose}`);
      own.ports.set(port.number, mode);
    }
  }

  #twice(policy: Policy, at: Path, whose: string): void {
    this.references.report(policy, at, `there is another word about mTLS of ${whose}: keep one`);
  }
}
