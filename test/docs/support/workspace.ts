import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { pathOf } from './markdown.js';
import { ownPort } from '../../support/ports.js';

/** What a reader installs beside inmesh; taken from the checkout. */
const PACKAGES = ['@grpc/grpc-js', '@grpc/proto-loader', 'express', 'fastify', 'undici'];
/** Of the outside only what programs need to run: no settings of a mesh, no proxy. */
const ENVIRONMENT = /^(PATH|HOME|TMPDIR|LANG|SystemRoot)$/;

/** `npx` takes what is there, and says nothing of its own. */
const NPM = { npm_config_offline: 'true', npm_config_loglevel: 'error', npm_config_update_notifier: 'false' };

const PORT = /(?:127\.0\.0\.1|localhost):(\d{4,5})\b/g;

export interface Output {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A project of a reader who follows a document: a folder in which `inmesh` is installed. Ports that the document names are replaced by
 * free ones on the way in, and back on the way out.
 */
export class Workspace {
  readonly folder = mkdtempSync(join(tmpdir(), 'inmesh-docs-'));
  readonly #background: ChildProcess[] = [];

  private constructor(
    private readonly free: ReadonlyMap<string, string>,
    private readonly named: ReadonlyMap<string, string>,
  ) {
    const modules = join(this.folder, 'node_modules');
    for (const scope of ['.bin', '@grpc']) mkdirSync(join(modules, scope), { recursive: true });
    symlinkSync(pathOf('.'), join(modules, 'inmesh'), 'junction');
    for (const name of PACKAGES) symlinkSync(pathOf(`node_modules/${name}`), join(modules, name), 'junction');
    symlinkSync(pathOf('dist/cli.js'), join(modules, '.bin', 'inmesh'));
    this.write('package.json', '{ "type": "module" }\n');
  }

  /** `texts` are all that will be written and run: their ports are reserved. */
  static async create(texts: readonly string[]): Promise<Workspace> {
    const ports = [...new Set(texts.flatMap((text) => [...text.matchAll(PORT)].map(([, port]) => port as string)))];
    const free = await freePorts(ports.length);
    const pairs = ports.map((port, i): [string, string] => [port, String(free[i])]);
    return new Workspace(new Map(pairs), new Map(pairs.map(([port, other]) => [other, port])));
  }

  write(file: string, text: string): void {
    mkdirSync(dirname(join(this.folder, file)), { recursive: true });
    writeFileSync(join(this.folder, file), replaced(text, this.free));
  }

  /** Runs a shell script to its end. */
  run(script: string): Promise<Output> {
    const child = this.#spawn(script);
    return new Promise((resolve, reject) => {
      const output = collected(child);
      child.once('error', reject);
      child.once('close', (status) => {
        const { stdout, stderr } = output();
        resolve({ status, stdout: replaced(stdout, this.named), stderr: replaced(stderr, this.named) });
      });
    });
  }

  /** Starts a program that runs on, and resolves once it has printed `lines` lines. Ends with the workspace. */
  start(script: string, lines: number): Promise<string> {
    const child = this.#spawn(`exec ${script}`);
    this.#background.push(child);
    return new Promise((resolve, reject) => {
      const output = collected(child);
      child.stdout?.on('data', () => {
        const { stdout } = output();
        if (stdout.split('\n').length > lines) resolve(replaced(stdout, this.named));
      });
      child.once('error', reject);
      child.once('close', (status) => reject(new Error(`"${script}" ended with ${status}: ${output().stderr}`)));
    });
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#background.map((child) => {
        if (child.exitCode !== null || child.signalCode !== null) return undefined;
        const ended = new Promise((resolve) => child.once('close', resolve));
        // The group: `npx` does not hand every signal on.
        process.kill(-(child.pid as number), 'SIGTERM');
        return ended;
      }),
    );
    rmSync(this.folder, { recursive: true, force: true });
  }

  #spawn(script: string): ChildProcess {
    const outside = Object.entries(process.env).filter(([name]) => ENVIRONMENT.test(name));
    const { PATH = '', ...rest } = Object.fromEntries(outside);
    return spawn('sh', ['-ec', replaced(script, this.free)], {
      cwd: this.folder,
      env: { ...rest, ...NPM, PATH: [dirname(process.execPath), PATH].join(delimiter) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
  }
}

/** Whether the system has a program of that name. */
export const available = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

const replaced = (text: string, ports: ReadonlyMap<string, string>): string =>
  text.replace(/\b\d{4,5}\b/g, (number) => ports.get(number) ?? number);

function collected(child: ChildProcess): () => { stdout: string; stderr: string } {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  return () => texts;
}

/** One after the other, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await ownPort());
  return ports;
}
