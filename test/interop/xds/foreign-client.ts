import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Calls {
  /** `xds:///reviews` */
  readonly target: string;
  readonly count: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** How many calls were answered with what: a server's name, or `<status>: <message>`. */
export type Replies = Readonly<Record<string, number>>;

/** Another program that speaks xDS, in a process of its own, bootstrapped to one control plane. */
export class ForeignClient {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve: (replies: Replies) => void; reject: (error: Error) => void }[] = [];
  #errors = '';

  constructor(command: string, script: string, controlPlanePort: number) {
    const bootstrap = {
      xds_servers: [
        {
          server_uri: `127.0.0.1:${controlPlanePort}`,
          channel_creds: [{ type: 'insecure' }],
          server_features: ['xds_v3'],
        },
      ],
      // grpc-js-xds fails every call when node.locality is missing, though it is optional.
      node: { id: `interop-${script}`, cluster: 'interop', locality: { region: 'local', zone: 'a' } },
    };
    const { GRPC_XDS_BOOTSTRAP: _, ...inherited } = process.env;
    this.#child = spawn(command, [fileURLToPath(new URL(script, import.meta.url))], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...inherited, GRPC_XDS_BOOTSTRAP_CONFIG: JSON.stringify(bootstrap) },
    });
    this.#child.stderr?.on('data', (chunk) => {
      this.#errors = `${this.#errors}${chunk}`.slice(-4_000);
    });
    this.#child.once('exit', (code) => {
      for (const { reject } of this.#waiting.splice(0))
        reject(new Error(`${script} ended with ${code}: ${this.#errors}`));
    });
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => this.#waiting.shift()?.resolve(JSON.parse(line) as Replies));
  }

  /** Makes the calls one after another. */
  call(calls: Calls): Promise<Replies> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify(calls)}\n`);
    });
  }

  /** Ends the program and resolves when it is gone. */
  close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGKILL');
    return gone;
  }
}

/**
 * A Python that can import grpc: the one that INMESH_PYTHON names (`npm test` fetches one and sets it), or else the machine's.
 * Undefined: none.
 */
export function pythonWithGrpc(): string | undefined {
  const python = process.env['INMESH_PYTHON'] ?? 'python3';
  return spawnSync(python, ['-c', 'import grpc'], { stdio: 'ignore' }).status === 0 ? python : undefined;
}
