import { isIP } from 'node:net';
import type { Report } from '../problem.js';
import type { MeshConfigSpec } from '../schema/mesh-config.js';

export function checkMeshConfig({ egress }: MeshConfigSpec, report: Report): void {
  for (const list of ['allow', 'deny'] as const)
    egress?.[list].forEach(({ hosts, ports, cidrs }, index) => {
      const at = ['spec', 'egress', list, index];
      // A list in a file that somebody meant to fill: for `allow` it would open everything.
      if (hosts === undefined && ports === undefined && cidrs === undefined)
        report(at, `says nothing, and is for every call: write hosts, ports or cidrs (hosts: ["*"] for all)`, {
          expected: 'hosts, ports, cidrs',
        });
      cidrs?.forEach((text, i) => {
        const [address = '', length] = text.split('/');
        const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : 0;
        if (bits === 0)
          report([...at, 'cidrs', i], 'must be an IP address, or a range of them', { expected: '10.0.0.0/8' });
        else if (Number(length ?? bits) > bits)
          report([...at, 'cidrs', i], `must have a prefix of at most ${bits} bits`);
      });
    });
}
