// Run by tls.test.ts in a process that trusts the test's CA (NODE_EXTRA_CA_CERTS is read at start only): calls each port, prints what came.
import { tlsFor } from '../../support/tls.js';
import { callOf, text, transportTo } from '../../support/http2-fixture.js';

const results: unknown[] = [];
for (const argument of process.argv.slice(2)) {
  const [port, sni] = argument.split('/');
  const { transport, limits } = transportTo(Number(port), { tls: tlsFor(sni as string) });
  try {
    const reply = await transport.call(callOf({ scheme: 'https' }));
    results.push({ status: reply.status, body: await text(reply.body) });
  } catch (error) {
    const { code, reached, message } = error as { code: string; reached: string; message: string };
    results.push({ code, reached, message });
  }
  await transport.close();
  results.push(limits.open);
}
console.log(JSON.stringify(results));
