import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ENDPOINT, RESOURCE_TYPES } from '../../../src/core/resources.js';
import { runToEnd } from '../../../src/core/steps.js';
import { loadCodec } from '../../../src/xds/wire/index.js';

const project = fileURLToPath(new URL('../../..', import.meta.url));

describe('the generated descriptor', () => {
  test('is what the generator makes of its inputs, the same every time', () => {
    execFileSync(process.execPath, ['scripts/gen-protos.mjs', '--check'], { cwd: project, stdio: 'pipe' });
  });

  test('stays below 128 KB', () => {
    expect(readFileSync(`${project}/src/xds/gen/descriptor.json`).length).toBeLessThan(128 * 1_024);
  });

  test('has the name of every resource in field 1, where the codec looks for it', async () => {
    const codec = await loadCodec();
    for (const type of RESOURCE_TYPES) {
      const field = type === ENDPOINT ? 'cluster_name' : 'name';
      const bytes = codec.encodeResource(type, { [field]: 'the name' });
      expect(runToEnd(codec.resourceName(type, bytes))).toBe('the name');
    }
  });

  test('knows the resources and the fields that are newer than the .proto files', async () => {
    const codec = await loadCodec();
    for (const type of RESOURCE_TYPES) expect(codec.knows(type)).toBe(true);
    const response = { resource_errors: [{ resource_name: { name: 'a' }, error_detail: { code: 5 } }] };
    const bytes = codec.encodeMessage('envoy.service.discovery.v3.DiscoveryResponse', response);
    // Field 7, length-delimited: xRFC TP3 as Envoy numbers it.
    expect(bytes[0]).toBe((7 << 3) | 2);
  });
});
