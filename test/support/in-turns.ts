/** Runs `task` for 0 to `count` - 1, up to `atOnce` of them at a time. Fails with the first that fails. */
export async function inTurns(count: number, atOnce: number, task: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}
