import { describe, expect, test } from 'vitest';
import { IdentityError } from '../../../src/core/errors.js';
import type { SecretWatcher } from '../../../src/core/identity.js';
import { sdsIdentity } from '../../../src/identity/sources/sds.js';
import { type Issued, testCa } from '../../support/pki.js';
import { identitySourceContract, recorder } from '../source-contract.js';

/** An xDS server's secrets, by name. */
function secrets() {
  const watchers = new Map<string, SecretWatcher>();
  return {
    watchers,
    watch: (name: string, watcher: SecretWatcher) => {
      watchers.set(name, watcher);
      return () => void watchers.delete(name);
    },
    certificate: ({ certificates, privateKey }: Issued, name = 'default') =>
      watchers.get(name)?.changed({ kind: 'certificate', certificates, privateKey }),
    roots: (root: string, name = 'ROOTCA') =>
      watchers.get(name)?.changed({ kind: 'validation', trust: { kind: 'roots', certificates: [root] }, crls: [] }),
  };
}

describe('secret discovery as a source', () => {
  identitySourceContract(async () => {
    const server = secrets();
    return {
      source: sdsIdentity({ name: 'SDS of a test', secrets: server.watch }),
      give(issued, root) {
        server.roots(root);
        server.certificate(issued);
      },
      trouble: () => server.watchers.get('default')?.failed(new IdentityError('it is gone')),
      wait: async () => {},
      end: async () => expect(server.watchers.size).toBe(0),
    };
  });

  const ca = testCa();

  test('tells of nothing until certificate and trust are both there, and of each of them after that', () => {
    const server = secrets();
    const source = sdsIdentity({ name: 'SDS', secrets: server.watch });
    const told = recorder();
    source.watch(told);
    server.certificate(ca.issue());
    expect(told.states).toEqual([]);
    server.roots(ca.root);
    server.roots(ca.root);
    server.certificate(ca.issue());
    expect(told.states).toHaveLength(3);
  });

  test('asks for names as SPIRE has them, or for one of the two only', () => {
    const server = secrets();
    sdsIdentity({ name: 'SDS', secrets: server.watch, certificate: 'spiffe://a/web', trust: 'spiffe://a' });
    expect([...server.watchers.keys()]).toEqual(['spiffe://a/web', 'spiffe://a']);
    const roots = secrets();
    const source = sdsIdentity({ name: 'SDS', secrets: roots.watch, certificate: false });
    roots.roots(ca.root);
    expect(source.current).toEqual({ identity: undefined, trust: ca.roots(), crls: [] });
    expect(() => sdsIdentity({ name: 'SDS', secrets: roots.watch, certificate: false, trust: false })).toThrow(
      /neither/,
    );
  });

  test('a secret of the other kind, or a key that is not the certificate’s, is trouble', () => {
    const server = secrets();
    const source = sdsIdentity({ name: 'SDS', secrets: server.watch });
    const told = recorder();
    source.watch(told);
    server.certificate(ca.issue(), 'ROOTCA');
    server.roots(ca.root, 'default');
    server.certificate({ ...ca.issue(), privateKey: ca.issue().privateKey });
    expect(told.errors.map(({ message }) => message)).toEqual([
      'SDS: secret "ROOTCA": it does not say whom to believe, but is a certificate',
      'SDS: secret "default": it is no certificate, but whom to believe',
      'SDS: secret "default": the private key is not that of the certificate',
    ]);
    expect(source.current).toBeUndefined();
  });
});
