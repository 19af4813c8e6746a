import { type ChildProcess, spawn } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const folder = process.env['INMESH_GO_PLANES'] ?? join('node_modules', '.cache', 'inmesh', 'go');

const program = (name: string): string => join(folder, process.platform === 'win32' ? `${name}.exe` : name);

/** Undefined when the two Go programs are there; otherwise why not. */
export const missing: string | undefined = ['plane', 'example'].every((name) => existsSync(program(name)))
  ? undefined
  : 'go-control-plane is not built: run `npm test`, or name the folder of its programs in INMESH_GO_PLANES';

/** One line that `plane` prints: what happened between it and its clients. */
export interface PlaneEvent {
  readonly event: 'listening' | 'served' | 'request' | 'response';
  readonly port?: number;
  readonly version?: string;
  readonly type?: string;
  readonly delta?: boolean;
  readonly nonce?: string;
  readonly names?: readonly string[];
  /** Of a NACK. */
  readonly error?: string;
}

/** test/interop/go/plane, running. */
export class GoPlane {
  readonly events: PlaneEvent[] = [];
  #served = 0;

  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
  ) {}

  static async start(port = 0): Promise<GoPlane> {
    const child = spawn(program('plane'), ['-port', String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const [first] = await firstLine(child, lines);
    const plane = new GoPlane(child, (JSON.parse(first) as { port: number }).port);
    lines.on('line', (line) => plane.events.push(JSON.parse(line) as PlaneEvent));
    return plane;
  }

  /** Replaces the configuration: backends by service. The mesh sees it when it sees it. */
  serve(services: Readonly<Record<string, readonly string[]>>): void {
    const version = String(++this.#served);
    this.child.stdin?.write(`${JSON.stringify({ version, services })}\n`);
  }

  /** Messages of the clients that refuse something. */
  get refusals(): readonly string[] {
    return this.events.flatMap(({ error }) => error ?? []);
  }

  /** Names that responses of the type have carried since `from`. */
  carried(type: string, from = 0): readonly string[] {
    return this.events
      .slice(from)
      .filter((it) => it.event === 'response' && it.type === type)
      .flatMap(({ names }) => names ?? []);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }
}

/** go-control-plane's own example server, running; serves the node `test-id`. */
export async function startExample(): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> {
  const port = await freePort();
  const child = spawn(program('example'), ['-port', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = createInterface({ input: child.stderr as NodeJS.ReadableStream });
  await firstLine(child, lines);
  const stop = async (): Promise<void> => {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return { port, stop };
}

async function firstLine(child: ChildProcess, lines: EventEmitter): Promise<[string]> {
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`it ended at once, with ${code}`)));
  return (await Promise.race([once(lines, 'line'), ended])) as [string];
}

/** The example takes no port 0, so one is looked for. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
