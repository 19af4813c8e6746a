interface Node<T> {
  /** What the way from the parent adds; not empty but for the root. */
  label: string;
  value: T | undefined;
  /** By the first UTF-16 unit of their labels. */
  readonly children: Map<number, Node<T>>;
}

/** Values by prefix. All prefixes of a text are found on one way down, whatever the number of values (a radix tree). */
export class PrefixTree<T> {
  readonly #root: Node<T> = { label: '', value: undefined, children: new Map() };
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The value at `prefix`, made when there is none. */
  at(prefix: string, make: () => T): T {
    let node = this.#root;
    let from = 0;
    while (from < prefix.length) {
      const child = node.children.get(prefix.charCodeAt(from));
      if (child === undefined) {
        const leaf: Node<T> = { label: prefix.slice(from), value: undefined, children: new Map() };
        node.children.set(prefix.charCodeAt(from), leaf);
        node = leaf;
        break;
      }
      const shared = commonLength(child.label, prefix, from);
      node = shared < child.label.length ? split(node, child, shared) : child;
      from += shared;
    }
    if (node.value === undefined) {
      node.value = make();
      this.#size++;
    }
    return node.value;
  }

  /** Writes the values of all prefixes of what `text` is from `start` on into `found`, the shortest first; returns how many. */
  collect(text: string, found: T[], start = 0): number {
    let node = this.#root;
    let from = start;
    let count = 0;
    for (;;) {
      if (node.value !== undefined) found[count++] = node.value;
      if (from >= text.length) return count;
      const child = node.children.get(text.charCodeAt(from));
      if (child === undefined || !text.startsWith(child.label, from)) return count;
      from += child.label.length;
      node = child;
    }
  }
}

/** Puts a node between `parent` and `child`, after `length` units of the child's label. */
function split<T>(parent: Node<T>, child: Node<T>, length: number): Node<T> {
  const between: Node<T> = { label: child.label.slice(0, length), value: undefined, children: new Map() };
  parent.children.set(between.label.charCodeAt(0), between);
  child.label = child.label.slice(length);
  between.children.set(child.label.charCodeAt(0), child);
  return between;
}

function commonLength(label: string, text: string, from: number): number {
  const end = Math.min(label.length, text.length - from);
  let length = 0;
  while (length < end && label.charCodeAt(length) === text.charCodeAt(from + length)) length++;
  return length;
}
