import { expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { meshClient } from '../../../src/index.js';

// What no attempt can mend is told at once, and not as a control plane that is out of reach.
test('a bootstrap that would send a token in plain text is refused at the start (gRFC A97)', async () => {
  const call_creds = [{ type: 'jwt_token_file', config: { jwt_token_file: 'token' } }];
  const server = { server_uri: '127.0.0.1:1', channel_creds: [{ type: 'insecure' }], call_creds };
  const mesh = meshClient({ xds: { xds_servers: [server] }, logger: silentLogger });
  const problem = 'call_creds of 127.0.0.1:1 are not sent in plain text: its channel_creds must be "tls"';
  await expect(mesh.ready()).rejects.toThrow(problem);
  await mesh.close();
});
