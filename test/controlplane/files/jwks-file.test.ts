import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { jwksFileFault } from '../../../src/controlplane/files/jwks-file.js';

const folder = mkdtempSync(join(tmpdir(), 'inmesh-jwks-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const KEY = '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}';

test('a file with a key is well', () => {
  expect(jwksFileFault(file('good.json', `{"keys":[${KEY}]}`))).toBeUndefined();
});
test.each([
  ['of no JSON', 'x', 'the keys are no JSON'],
  ['without a list', '{}', 'the keys have no list "keys"'],
  ['without a key that verifies', '{"keys":[]}', 'none of the 0 keys can verify a signature'],
  ['that is too long', `{"keys":[${KEY}]}${' '.repeat(300_000)}`, '262144 at most'],
])('a file %s is told of', (_, text, message) => {
  expect(jwksFileFault(file('bad.json', text))).toContain(message);
});
test('a file that is not there, and a folder, are told of', () => {
  expect(jwksFileFault(join(folder, 'none.json'))).toBe('there is no such file');
  expect(jwksFileFault(folder)).toBe('it is no file');
});
