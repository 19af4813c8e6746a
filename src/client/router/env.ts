import type { HashEnv } from '../../routing/hash/hash.js';
import type { ClientEnv } from '../env.js';

const hashEnvs = new WeakMap<ClientEnv, HashEnv>();

/**
 * What hash policies need, one per mesh: "a random number from a uniform distribution" names it (`io.grpc.channel_id`, gRFC A42). Undefined when the
 * hash function is not there: then calls have random hashes.
 */
export function hashEnv(env: ClientEnv): HashEnv | undefined {
  const known = hashEnvs.get(env);
  if (known !== undefined) return known;
  const { hash64, random } = env;
  if (hash64 === undefined) return undefined;
  const half = (): bigint => BigInt(random.int(0x1_0000_0000));
  const made = { hash64, random, channelId: (half() << 32n) | half() };
  hashEnvs.set(env, made);
  return made;
}
