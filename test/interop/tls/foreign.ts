import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import type { Issued } from '../../support/pki.js';
import { pythonWithGrpc } from '../../support/python.js';
import { freePort } from '../../support/redis.js';

/** Certificates by name, in files: `<name>.pem` has the chain, `<name>.key` the key, `roots.pem` the root. */
export class Certificates {
  readonly roots: string;

  constructor(
    readonly folder: string,
    readonly root: string,
    readonly issued: ReadonlyMap<string, Issued>,
  ) {
    mkdirSync(folder, { recursive: true });
    this.roots = join(folder, 'roots.pem');
    writeFileSync(this.roots, root);
    for (const [name, { chainPem, keyPem }] of issued) {
      writeFileSync(this.chain(name), chainPem);
      writeFileSync(this.key(name), keyPem, { mode: 0o600 });
    }
  }

  chain = (name: string): string => join(this.folder, `${name}.pem`);
  key = (name: string): string => join(this.folder, `${name}.key`);
  of = (name: string): Issued => this.issued.get(name) as Issued;
}

/** A TLS that we did not write. `serve`: a server that shows that certificate and asks for one; `call`: what came of a request to the port. */
export interface Foreign {
  readonly alpn: readonly string[];
  serve(name: string): Promise<number>;
  /** Whether it got a reply. */
  call(port: number, name: string): Promise<boolean>;
  close(): Promise<void>;
}

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
};

export const has = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** `openssl s_server` and `openssl s_client`. */
export function openssl(files: Certificates): Foreign {
  const children: ChildProcess[] = [];
  const own = (name: string): string[] => ['-key', files.key(name), '-CAfile', files.roots];
  return {
    alpn: ['http/1.1'],
    async serve(name) {
      const args = ['s_server', '-accept', '127.0.0.1:0', '-cert', files.chain(name), '-cert_chain', files.chain(name)];
      const child = spawn('openssl', [...args, ...own(name), '-Verify', '5', '-verify_return_error', '-www']);
      children.push(child);
      for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
        const port = /^ACCEPT .*:(\d+)/.exec(line)?.[1];
        if (port !== undefined) return Number(port);
      }
      throw new Error('openssl s_server ended before it listened');
    },
    call: (port, name) =>
      new Promise((resolve) => {
        const args = [
          's_client',
          '-connect',
          `127.0.0.1:${port}`,
          '-cert',
          files.chain(name),
          '-cert_chain',
          files.chain(name),
        ];
        const child = execFile(
          'openssl',
          [...args, ...own(name), '-verify_return_error', '-quiet', '-ign_eof'],
          (_, out) => resolve(/^HTTP\/1\.1 200 /m.test(out)),
        );
        child.stdin?.on('error', () => {});
        child.stdin?.end('GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n');
      }),
    close: async () => void (await Promise.all(children.map(end))),
  };
}

export const NGINX = process.env['INMESH_NGINX'] ?? 'nginx';

/** nginx: a server for each certificate, and a proxy that goes on with each to the port that its path names. */
export async function nginx(files: Certificates): Promise<Foreign> {
  const front = await freePort();
  const ports = new Map<string, number>();
  for (const name of files.issued.keys()) ports.set(name, await freePort());
  const servers = [...ports].map(
    ([name, port]) => `server {
      listen 127.0.0.1:${port} ssl;
      ssl_certificate ${files.chain(name)};
      ssl_certificate_key ${files.key(name)};
      ssl_client_certificate ${files.roots};
      ssl_verify_client on;
      location / { return 200 "$ssl_client_verify"; }
    }`,
  );
  const locations = [...ports.keys()].map(
    (name) => `location ~ ^/${name}/(\\d+)$ {
      proxy_pass https://127.0.0.1:$1;
      proxy_ssl_certificate ${files.chain(name)};
      proxy_ssl_certificate_key ${files.key(name)};
      proxy_ssl_trusted_certificate ${files.roots};
      proxy_ssl_verify on;
      proxy_ssl_verify_depth 3;
      proxy_ssl_name web;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
    }`,
  );
  const config = `daemon off; master_process off; pid ${files.folder}/nginx.pid; error_log ${files.folder}/error.log;
  events {}
  http {
    access_log off;
    client_body_temp_path ${files.folder}/body; proxy_temp_path ${files.folder}/proxy; fastcgi_temp_path ${files.folder}/fcgi;
    uwsgi_temp_path ${files.folder}/uwsgi; scgi_temp_path ${files.folder}/scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_verify_depth 3;
    ${servers.join('\n')}
    server { listen 127.0.0.1:${front}; ${locations.join('\n')} }
  }`;
  const path = join(files.folder, 'nginx.conf');
  writeFileSync(path, config);
  const child = spawn(NGINX, ['-c', path, '-p', files.folder, '-e', join(files.folder, 'error.log')], {
    stdio: 'ignore',
  });
  const url = (port: number, name: string): string => `http://127.0.0.1:${front}/${name}/${port}`;
  for (let tries = 0; ; tries++) {
    if (child.exitCode !== null || tries === 500) throw new Error('nginx does not start: see its error.log');
    const up = await fetch(url(1, 'none')).then(
      () => true,
      () => false,
    );
    if (up) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    alpn: ['http/1.1'],
    serve: async (name) => ports.get(name) as number,
    call: async (port, name) => (await fetch(url(port, name))).status === 200,
    close: () => end(child),
  };
}

const same = (bytes: Buffer): Buffer => bytes;
const METHOD = '/test.Echo/Echo';

export function grpcJs(files: Certificates): Foreign {
  const servers: Server[] = [];
  const root = Buffer.from(files.root);
  const pair = (name: string): { key: Buffer; chain: Buffer } => ({
    key: Buffer.from(files.of(name).keyPem),
    chain: Buffer.from(files.of(name).chainPem),
  });
  return {
    alpn: ['h2'],
    async serve(name) {
      const server = new Server();
      servers.push(server);
      const method = { path: METHOD, requestStream: false, responseStream: false } as const;
      const serializers = {
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      };
      server.addService({ Echo: { ...method, ...serializers } }, {
        Echo: (call: { request: Buffer }, done: (error: null, reply: Buffer) => void) => done(null, call.request),
      } as never);
      const { key, chain } = pair(name);
      const creds = ServerCredentials.createSsl(root, [{ private_key: key, cert_chain: chain }], true);
      return new Promise((resolve, reject) => {
        server.bindAsync('127.0.0.1:0', creds, (error, port) => (error === null ? resolve(port) : reject(error)));
      });
    },
    async call(port, name) {
      const { key, chain } = pair(name);
      const client = new Client(`127.0.0.1:${port}`, credentials.createSsl(root, key, chain), {
        'grpc.ssl_target_name_override': 'web',
      });
      const reply = await new Promise<Buffer | undefined>((resolve) => {
        const deadline = new Date(Date.now() + 10_000);
        client.makeUnaryRequest(METHOD, same, same, Buffer.from('hello'), { deadline }, (_, value) => resolve(value));
      });
      client.close();
      return reply?.toString() === 'hello';
    },
    close: async () => {
      for (const server of servers) server.forceShutdown();
    },
  };
}

/** Undefined: there is no Python with grpcio. */
export async function grpcio(files: Certificates): Promise<Foreign | undefined> {
  const found = await pythonWithGrpc();
  if (!('python' in found)) return undefined;
  const program = fileURLToPath(new URL('./grpcio.py', import.meta.url));
  const child = spawn(found.python, [program], { stdio: ['pipe', 'pipe', 'ignore'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();
  const order = (what: object): Promise<Record<string, unknown>> => {
    const answered = turn.then(async () => {
      child.stdin.write(`${JSON.stringify(what)}\n`);
      return JSON.parse((await lines.next()).value as string) as Record<string, unknown>;
    });
    turn = answered;
    return answered;
  };
  const parts = (name: string): object => ({
    cert: files.of(name).chainPem,
    key: files.of(name).keyPem,
    ca: files.root,
  });
  return {
    alpn: ['h2'],
    serve: async (name) => (await order({ op: 'serve', ...parts(name) }))['port'] as number,
    call: async (port, name) => (await order({ op: 'call', port, ...parts(name) }))['reply'] === 'hello',
    close: () => end(child),
  };
}
