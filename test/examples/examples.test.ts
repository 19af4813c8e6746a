import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Program, root } from './support/program.js';

let program: Program | undefined;
afterEach(() => program?.kill());

/** Runs an example by the command that its first line names, to its end. */
async function outputOf(file: string): Promise<string[]> {
  program = new Program(process.execPath, [join('examples', file)]);
  expect([await program.exitCode(), program.output]).toEqual([0, expect.any(String)]);
  expect(program.left).toBe(false);
  return program.output.trimEnd().split('\n');
}

describe('every example runs to its end and shows what it says', () => {
  test('fetch: a service with an instance that is down answers every call, and a time limit is kept', async () => {
    const lines = await outputOf('fetch/main.mjs');
    const replies = lines.slice(0, 10);
    expect(replies.map((line) => line.replace(/one|two/, 'an instance'))).toEqual(
      replies.map((_, index) => `200 /${index + 1} from an instance`),
    );
    expect(lines.slice(10)).toEqual(['DEADLINE_EXCEEDED', '10 calls, 100% succeeded']);
  });

  test('grpc: unary and server streaming', async () => {
    expect(await outputOf('grpc/main.mjs')).toEqual(['a review of hamlet 4', '★★★★★', '★★★★', '★★★']);
  });

  test('embedded: a file alone routes by header and takes turns', async () => {
    const [first, second, tester] = await outputOf('embedded/main.mjs');
    expect([first, second].sort()).toEqual(['a user gets: v1, first instance', 'a user gets: v1, second instance']);
    expect(tester).toBe('a tester gets: v2');
  });

  test('controlplane: an edit takes effect, a broken one is reported and changes nothing', async () => {
    expect(await outputOf('controlplane/main.mjs')).toEqual([
      'before the edit: v1',
      'after the edit: v2',
      'refused: /reviews.yaml:4:9 Service/reviews spec.endpoint: unknown field; did you mean "endpoints"?',
      'still: v2',
    ]);
  });

  test('secure: who may reads, others do not, and who was revoked no more', async () => {
    const lines = (await outputOf('secure/main.mjs')).filter((line) => !line.startsWith('{'));
    expect(lines.slice(0, 4)).toEqual([
      'the shop reads: 200 hello spiffe://cluster.local/ns/default/sa/shop',
      'the shop writes: 403 RBAC: access denied',
      'somebody else reads: 403 RBAC: access denied',
      'no certificate: the connection is closed',
    ]);
    expect(lines[4]).toMatch(/^the shop, revoked: (IDENTITY_UNAVAILABLE|CONNECTION_LOST|CONNECT_FAILED)$/);
  });

  test('wrap-existing: undici and the platform fetch take the dispatcher', async () => {
    expect(await outputOf('wrap-existing/dispatcher.mjs')).toEqual(['undici.request: 200 GET /1', 'fetch: 200 GET /2']);
  });

  test('wrap-existing: a gRPC client takes the channel', async () => {
    expect(await outputOf('wrap-existing/grpc-channel.mjs')).toEqual(['a review of othello']);
  });

  test('wrap-existing: a program that is not changed is in the mesh', async () => {
    expect(await outputOf('wrap-existing/register.mjs')).toEqual(['200 a review of 1']);
  });

  test('class-of-service: unknown callers once in 600 s each, known ones unlimited, premium ones in a pool of their own', async () => {
    expect(await outputOf('class-of-service/main.mjs')).toEqual([
      'anonymous: 200 a report (1 / 0 / in 10 min)',
      'the same: 429 come again in 10 min (1 / 0 / in 10 min)',
      'another: 200 a report (1 / 0 / in 10 min)',
      'trial, 60th: 200 a report (60 / 0 / in 60 min)',
      'trial, 61st: 429 come again in 1 min (60 / 0 / in 60 min)',
      'member, 100th: 200 a report (no limit)',
      'premium: 200 a report from the premium pool (no limit)',
    ]);
  });

  test('chain: trace and deadline reach the end of the chain', async () => {
    const lines = await outputOf('chain/main.mjs');
    const came = 'trace 0af7651916cd43dd8448eb211c80319c, less than 2 s left';
    expect(lines.slice(0, 2).sort()).toEqual([`details: ${came}`, `ratings: ${came}`]);
    expect(lines.slice(2)).toEqual(['200 [{"from":"ratings"},{"from":"details"}]']);
  });
});

describe('deadlines, in a server of each framework', () => {
  test('Express: a call gets less than what is left, and detached work has no deadline', async () => {
    expect(await outputOf('deadlines/express.mjs')).toEqual([
      'stock: less than the two seconds',
      'audit: no deadline',
      '200 {"left":"7"}',
    ]);
  });

  test('Fastify: a part of the work is given less time, and the answer does without it', async () => {
    expect((await outputOf('deadlines/fastify.mjs')).sort()).toEqual([
      '200 {"books":["hamlet"],"advice":[]}',
      'advice: nobody waits any more',
    ]);
  });

  test('Hono: work stops when the caller goes away, and what came too late is refused', async () => {
    expect((await outputOf('deadlines/hono.mjs')).sort()).toEqual([
      '504 DEADLINE_EXCEEDED',
      'customer: AbortError',
      'report: begun',
      'report: stopped, CANCELLED',
    ]);
  });

  test('grpc-js: deadline, priority and cancellation go on to what is called', async () => {
    expect((await outputOf('deadlines/grpc.mjs')).sort()).toEqual([
      'customer: Cancelled on client',
      'reviews: CANCELLED',
      'stars: batch, less than 5 s',
      'stars: nobody waits any more',
    ]);
  });
});

describe('the list of examples', () => {
  const readme = readFileSync(join(root, 'examples', 'README.md'), 'utf8');

  test('names every folder, and only files that exist, by the command that their first line gives', () => {
    const folders = readdirSync(join(root, 'examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const commands = [...readme.matchAll(/^\| `node (examples\/\S+)` \|/gm)].map((match) => match[1] as string);
    const listed = new Set([...commands.map((file) => file.split('/')[1]), 'demo', 'support']);
    expect(folders.map((folder) => folder.name).filter((name) => !listed.has(name))).toEqual([]);
    for (const file of commands) {
      expect(readFileSync(join(root, file), 'utf8').split('\n')[0]).toBe(`// node ${file}`);
    }
  });

  test('is complete in what it links to', () => {
    for (const [, path] of readme.matchAll(/\]\(([^)]+)\)/g)) {
      expect(readFileSync(join(root, 'examples', path as string), 'utf8')).not.toBe('');
    }
  });
});
