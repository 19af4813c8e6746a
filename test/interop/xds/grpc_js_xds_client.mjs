// A client that is not ours: @grpc/grpc-js with @grpc/grpc-js-xds. Takes one JSON command a line on stdin, answers with one on stdout.
import { createInterface } from 'node:readline';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { register } from '@grpc/grpc-js-xds';

register();
const asIs = (bytes) => Buffer.from(bytes);
const clients = new Map();

function call(target, metadata) {
  let client = clients.get(target);
  if (client === undefined) {
    client = new Client(target, credentials.createInsecure());
    clients.set(target, client);
  }
  const headers = new Metadata({ waitForReady: true });
  for (const [name, value] of Object.entries(metadata ?? {})) headers.set(name, value);
  return new Promise((resolve) => {
    const deadline = Date.now() + 20_000;
    client.makeUnaryRequest(
      '/test.Reviews/Get',
      asIs,
      String,
      Buffer.alloc(0),
      headers,
      { deadline },
      (error, reply) => {
        resolve(error ? `${error.code}: ${error.details}` : reply);
      },
    );
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const { target, count, metadata } = JSON.parse(line);
  const replies = {};
  for (let i = 0; i < count; i++) {
    const reply = await call(target, metadata);
    replies[reply] = (replies[reply] ?? 0) + 1;
  }
  process.stdout.write(`${JSON.stringify(replies)}\n`);
}
process.exit(0);
