import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { MAX_REVOKED } from '../../../src/controlplane/ca/constants.js';
import { issuerOf, newSerial } from '../../../src/controlplane/ca/x509/certificates.js';
import { revocationList } from '../../../src/controlplane/ca/x509/crl.js';
import { readCertificates } from '../../../src/identity/certificate.js';
import { readCrls } from '../../../src/identity/crl.js';
import { MAX_PEM_BYTES } from '../../../src/identity/pem.js';
import { Verifier } from '../../../src/identity/tls/verifier.js';
import { FakeClock } from '../../support/fake-clock.js';
import { authorities, request } from './support.js';

// openssl dates its certificates by the clock on the wall.
const { open, folder, closeAll, clock } = authorities(new FakeClock(3_600_000, Date.now()));
afterEach(closeAll);

/** An intermediate as companies have them: made by openssl, its names in the kinds of strings that `mask` allows. */
function companyFiles(mask: string, subject: string) {
  const directory = folder();
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const config = [
    '[req]',
    'distinguished_name=dn',
    `string_mask=${mask}`,
    'utf8=yes',
    '[dn]',
    '[root]',
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign,cRLSign',
    'subjectKeyIdentifier=hash',
    '[ca]',
    'basicConstraints=critical,CA:TRUE,pathlen:0',
    'keyUsage=critical,keyCertSign,cRLSign',
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
  ];
  writeFileSync(join(directory, 'openssl.cnf'), `${config.join('\n')}\n`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const req = ['req', '-config', 'openssl.cnf', '-utf8', ...key];
  const root = ['-x509', '-days', '30', '-extensions', 'root', '-subj', '/O=Example/CN=Root'];
  openssl(...req, ...root, '-keyout', 'rk.pem', '-out', 'r.pem');
  openssl(...req, '-multivalue-rdn', '-subj', subject, '-keyout', 'ik.pem', '-out', 'i.csr');
  const sign = ['-CA', 'r.pem', '-CAkey', 'rk.pem', '-CAcreateserial', '-extfile', 'openssl.cnf', '-extensions', 'ca'];
  openssl('x509', '-req', '-in', 'i.csr', ...sign, '-days', '20', '-out', 'i.pem');
  const file = (name: string): string => join(directory, name);
  return { certificate: file('i.pem'), key: file('ik.pem'), roots: file('r.pem') };
}

test.each([
  ['UTF8String', 'utf8only', '/C=DE/O=Example/CN=Mesh Issuer'],
  ['several kinds of strings', 'default', '/C=DE/O=Bücher, "Söhne" + Co/CN=mesh@example'],
  ['several attributes in one part', 'utf8only', '/O=Example/CN=Mesh+OU=A'],
])('leaves and lists under an intermediate of openssl with names in %s are believed', async (_, mask, subject) => {
  const ca = await open({ directory: join(folder(), 'ca'), intermediate: companyFiles(mask, subject) });
  const { certificates, serial } = await ca.issue(request());
  const [leaf, issuer] = certificates.flatMap((pem) => readCertificates(pem));
  expect(leaf?.issuer.toString('hex')).toBe(issuer?.subject.toString('hex'));
  const shown = { certificates: [leaf?.der as Buffer, issuer?.der as Buffer], openssl: undefined, resumed: false };
  const verify = (): void => {
    const verifier = new Verifier(ca.trust, readCrls(ca.news.crls.join('')), () => [clock.wallTime()]);
    verifier.verify('client', shown as never, undefined);
  };
  expect(verify).not.toThrow();
  await ca.revoke(serial);
  expect(verify).toThrow(/revoked/);
});

test('as many revocations as are remembered fit into what peers read', async () => {
  const { certificate, key } = companyFiles('utf8only', '/CN=Mesh');
  const issuer = await issuerOf(readFileSync(certificate, 'utf8'), createPrivateKey(readFileSync(key)));
  const size = async (count: number): Promise<number> => {
    const entries = Array.from({ length: count }, () => ({
      serial: newSerial(),
      at: 0,
      reason: 'superseded' as const,
    }));
    return (await revocationList(issuer, { number: 1, thisUpdate: 0, nextUpdate: 1_000, entries })).length;
  };
  const [few, more] = [await size(100), await size(1_100)];
  expect(few + ((more - few) / 1_000) * MAX_REVOKED).toBeLessThan(MAX_PEM_BYTES);
});
