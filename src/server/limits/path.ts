/**
 * One way to write a path that frameworks may take to the same handler: Express tells neither `/LOGIN` nor `/login/` from `/login`, Fastify ends a path at `;`, and
 * Hono and Fastify decode it. For limits, where a path taken for too many is the smaller harm. The query stays as it is.
 */
export function canonicalPath(target: string): string {
  const question = target.indexOf('?');
  const path = question < 0 ? target : target.slice(0, question);
  const bare = decoded(path.replace(/[#;].*$/s, '')).toLowerCase();
  // Not a regular expression: of many slashes in the midst of a path it would look at each over and over.
  let end = bare.length;
  while (end > 1 && bare[end - 1] === '/') end--;
  return question < 0 ? bare.slice(0, end) : bare.slice(0, end) + target.slice(question);
}

/** What is not valid stays as it is written. */
function decoded(path: string): string {
  if (!path.includes('%')) return path;
  try {
    // What would begin a query or a fragment is a part of the path where it is encoded.
    return decodeURIComponent(path.replace(/%(?=3f|23|2f|25)/gi, '%25'));
  } catch {
    return path;
  }
}
