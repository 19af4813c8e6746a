import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelCredentials, Client, loadPackageDefinition, makeClientConstructor, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, describe, expect, test } from 'vitest';
import { grpcClient } from '../../../src/client/grpc/client.js';
import { idempotentMethods } from '../../../src/client/grpc/idempotency.js';
import type { Call } from '../../../src/core/call.js';
import { headerFields } from '../../../src/core/headers.js';
import { localReply } from '../../../src/core/reply.js';
import { FakeClock } from '../../support/fake-clock.js';

const folder = mkdtempSync(join(tmpdir(), 'inmesh-idempotency-'));
afterAll(() => rmSync(folder, { recursive: true }));

const PROTO = `syntax = "proto3";
package stock;
message Item { string id = 1; }
service Stock {
  rpc Look(Item) returns (Item) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Set(Item) returns (Item) { option idempotency_level = IDEMPOTENT; }
  rpc Take(Item) returns (Item);
}
`;

type Method = (message: object, metadata: Metadata, done: (error: Error | null) => void) => void;
type StockClient = Client & Readonly<Record<'Look' | 'Set' | 'Take', Method>>;

function stockClient() {
  const file = join(folder, 'stock.proto');
  writeFileSync(file, PROTO);
  const { stock } = loadPackageDefinition(loadSync(file)) as unknown as {
    stock: { Stock: new (address: string, credentials: ChannelCredentials) => StockClient };
  };
  return stock.Stock;
}

describe('whether a gRPC method may be called twice', () => {
  test('is what its idempotency_level says, in a client that proto-loader made', async () => {
    const calls: Call[] = [];
    const service = async (call: Call) => {
      calls.push(call);
      return localReply(200, headerFields({ 'content-type': 'application/grpc', 'grpc-status': '5' }));
    };
    const client = grpcClient(service, stockClient(), 'stock', { clock: new FakeClock() });
    for (const method of ['Look', 'Set', 'Take'] as const) {
      await new Promise((done) => client[method]({}, new Metadata(), done));
    }
    await new Promise((done) => client.Take({}, new Metadata({ idempotentRequest: true }), done));
    expect(calls.map(({ path, idempotent }) => [path, idempotent])).toEqual([
      ['/stock.Stock/Look', true],
      ['/stock.Stock/Set', true],
      ['/stock.Stock/Take', undefined],
      ['/stock.Stock/Take', true],
    ]);
    client.close();
  });

  test('is read from definitions in camel case too, as ts-proto writes them', () => {
    const service = { get: { path: '/a.B/Get', options: { idempotencyLevel: 'NO_SIDE_EFFECTS' } } };
    expect([...idempotentMethods({ service })]).toEqual(['/a.B/Get']);
  });

  test('is not known of a class that says nothing', () => {
    const method = {
      path: '/a.B/C',
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: (bytes: Buffer) => bytes,
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (bytes: Buffer) => bytes,
    };
    for (const each of [Client, makeClientConstructor({ C: method }, 'B'), {}, { service: null }]) {
      expect([...idempotentMethods(each)]).toEqual([]);
    }
  });
});
