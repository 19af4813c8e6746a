import { expect, test } from 'vitest';
import { compileYaml, policyYaml, problemsOf, serviceYaml } from '../../support/mesh-yaml.js';

const entry = (name: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ServiceEntry
metadata: { name: ${name} }
spec: { ${spec} }
`;
const POLICY = policyYaml('p', 'api', 'loadBalancer: { simple: RANDOM }');

test('a policy for a ServiceEntry that has endpoints, or is found by its name, is one for a Service', () => {
  for (const resolution of ['DNS', 'STATIC, endpoints: [{ address: 10.0.0.1 }]'])
    expect(compileYaml(entry('api', `hosts: [api.example.com], resolution: ${resolution}`) + POLICY).warnings).toEqual(
      [],
    );
});

test('a policy for one that is called where its names lead is refused, with what to write', () => {
  for (const host of ['api.example.com', '"*.example.com"'])
    expect(problemsOf(serviceYaml('a') + entry('api', `hosts: [${host}], resolution: NONE`) + POLICY)).toEqual([
      expect.stringMatching(
        /TrafficPolicy\/p spec\.targetRefs\[0\]\.name: ServiceEntry "api" has "resolution: NONE", by which its hosts are called where their names lead, with default policies: write "resolution: DNS", or STATIC$/,
      ),
    ]);
});
