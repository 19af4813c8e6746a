import type { Random } from '../../../src/core/random.js';

/** Bytes that break readers: signs of structure in DER, PEM, JSON and protobuf, and the ends of ranges. */
const TELLING = Buffer.from([
  0x00, 0x01, 0x02, 0x30, 0x7f, 0x80, 0x81, 0x84, 0xa0, 0xa3, 0xff, 0x22, 0x2d, 0x2f, 0x3a, 0x5b, 0x5c, 0x7b, 0x7d,
]);

type Mutation = (bytes: Buffer, at: number, random: Random) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  (bytes, at, random) => patched(bytes, at, (bytes[at] ?? 0) ^ (1 << random.int(8))),
  (bytes, at, random) => patched(bytes, at, TELLING[random.int(TELLING.length)] as number),
  (bytes, at, random) => patched(bytes, at, ((bytes[at] ?? 0) + random.int(3) - 1) & 0xff),
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.int(16))]),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at + random.int(64)), bytes.subarray(at)]),
  (bytes, at, random) =>
    Buffer.concat([
      bytes.subarray(0, at),
      Buffer.alloc(1 + random.int(8), TELLING[random.int(TELLING.length)]),
      bytes.subarray(at),
    ]),
  (bytes, at, random) => {
    const from = random.int(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + random.int(128)), bytes.subarray(at)]);
  },
];

function patched(bytes: Buffer, at: number, value: number): Buffer {
  const made = Buffer.from(bytes);
  if (at < made.length) made[at] = value;
  return made;
}

/** Spoils it in one place or in a few. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let made = bytes;
  for (let left = 1 + random.int(3); left > 0; left--) {
    const mutation = MUTATIONS[random.int(MUTATIONS.length)] as Mutation;
    made = mutation(made, random.int(made.length + 1), random);
  }
  return made;
}
