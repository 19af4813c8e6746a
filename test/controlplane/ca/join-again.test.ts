import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { JoinTokens, REPEAT_MS } from '../../../src/controlplane/ca/attestation/join-token.js';
import { Certifier } from '../../../src/controlplane/ca/service/certify.js';
import { DEFAULT_QUEUE, SigningQueue } from '../../../src/controlplane/ca/service/queue.js';
import { silentLogger } from '../../../src/core/log.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import { readCertificates } from '../../../src/identity/certificate.js';
import { authorities, ID } from './support.js';

/*
 * A join token is good once. Whoever has used it and has not got the answer, because the connection was cut, may ask again, for a while: that is who has the same key.
 */
const { open, closeAll, clock } = authorities();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  await closeAll();
});

async function serve() {
  const ca = await open();
  const tokens = new JoinTokens(ca, clock);
  const queue = new SigningQueue(clock, DEFAULT_QUEUE);
  closing.push(() => queue.close());
  const certifier = new Certifier({
    authority: ca,
    attestors: [tokens.attestor()],
    queue,
    clock,
    logger: silentLogger,
  });
  const requester = async (spiffeId = ID) => {
    const privateKey = await newPrivateKey();
    return (token: string, wanted = spiffeId) => {
      const csr = certificateRequest(privateKey, { spiffeId: wanted });
      return certifier.certify({ csr, validitySeconds: 0 }, { token, peer: undefined }, '10.0.0.1');
    };
  };
  const count = async (): Promise<number> => {
    let issued = 0;
    for await (const _ of ca.issued()) issued++;
    return issued;
  };
  return { ca, tokens, requester, count };
}
const refused = { reason: 'unauthenticated', message: 'the join token is not good, was used before, or has ended' };

test('a token that was used is good again for the same key, and for no other', async () => {
  const { ca, tokens, requester, count } = await serve();
  const { token, id } = await tokens.create(ID);
  const [own, other] = [await requester(), await requester()];
  const keys = [];
  for (let i = 0; i < 3; i++) keys.push(readCertificates((await own(token)).chain[0] as string)[0].publicKey);
  expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
  await expect(other(token)).rejects.toMatchObject(refused);
  expect(await count()).toBe(3);
  const audited = readFileSync(join(ca.directory, 'audit.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"token-used"'))
    .map((line) => JSON.parse(line));
  expect(audited.map(({ token: of, detail }) => [of, detail])).toEqual([
    [id, undefined],
    [id, 'again, for the same key'],
    [id, 'again, for the same key'],
  ]);
});

test('what it is not good for is not even signed', async () => {
  const { ca, tokens, requester } = await serve();
  const { token } = await tokens.create(ID);
  await (await requester())(token);
  let signed = 0;
  const issue = ca.issue.bind(ca);
  ca.issue = (request) => {
    signed++;
    return issue(request);
  };
  await expect((await requester())(token)).rejects.toMatchObject(refused);
  expect(signed).toBe(0);
});

test('for five minutes, and not when it was taken back, or has ended', async () => {
  const { tokens, requester } = await serve();
  const own = await requester();
  const { token } = await tokens.create(ID);
  await own(token);
  await clock.advance(REPEAT_MS - 1);
  await own(token);
  await clock.advance(1);
  await expect(own(token)).rejects.toMatchObject(refused);
  const short = await tokens.create(ID, 60_000);
  await own(short.token);
  await clock.advance(60_000);
  await expect(own(short.token)).rejects.toMatchObject(refused);
  const removed = await tokens.create(ID);
  await own(removed.token);
  await tokens.remove(removed.id);
  await expect(own(removed.token)).rejects.toMatchObject(refused);
});

test('a token of a pattern is good again for the name that it was used for', async () => {
  const { tokens, requester } = await serve();
  const { token } = await tokens.create('spiffe://cluster.local/ns/default/*');
  const own = await requester();
  await own(token);
  await expect(own(token, 'spiffe://cluster.local/ns/default/sa/admin')).rejects.toMatchObject(refused);
  await own(token);
});

test('who was revoked since comes back by another token only', async () => {
  const { ca, tokens, requester, count } = await serve();
  const { token } = await tokens.create(ID);
  const own = await requester();
  await own(token);
  await ca.revoke(ID);
  await expect(own(token)).rejects.toMatchObject(refused);
  expect(await count()).toBe(1);
});

test('of two requests with one key at once one gets a certificate, and the other is told to ask again, and gets one as well', async () => {
  const { tokens, requester } = await serve();
  const { token } = await tokens.create(ID);
  const own = await requester();
  const ended = await Promise.allSettled([own(token), own(token)]);
  expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const failed = ended.find((one) => one.status === 'rejected');
  expect(failed?.reason).toMatchObject({ reason: 'unavailable', retryAfterMs: 1_000 });
  await own(token);
});
