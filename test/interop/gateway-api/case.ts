/** What a request must come to. */
export interface Expected {
  /** `v1` to `v3`; absent: no server sees it. */
  readonly backend?: string;
  /** Default 200. */
  readonly status?: number;
  /** What the server sees; only what is named is looked at. `absent`: header fields that it must not see. */
  readonly path?: string;
  readonly host?: string;
  readonly sees?: Readonly<Record<string, string>>;
  readonly absent?: readonly string[];
  /** Header fields of the reply; those of `replyAbsent` must not be there. */
  readonly reply?: Readonly<Record<string, string>>;
  readonly replyAbsent?: readonly string[];
  /** Backends that get a copy. */
  readonly mirrored?: readonly string[];
  /** Attempts that arrive. Default 1. */
  readonly attempts?: number;
}

/** A request and what it comes to: the backend that answers, the status without one, or more. */
export type Ask = readonly [
  request: string,
  expected: string | number | Expected,
  headers?: Readonly<Record<string, string>>,
];

export interface Case {
  /** As a sentence's end: "Gateway API: …". */
  readonly about: string;
  /** Rules of one HTTPRoute each, all on the same Service. */
  readonly routes: readonly (readonly object[])[];
  /** `METHOD /path`, GET when there is none. */
  readonly asks: readonly Ask[];
}

interface Match {
  readonly path?: object;
  readonly headers?: readonly object[];
  readonly queryParams?: readonly object[];
  readonly method?: string;
}

export const prefix = (value: string): Match => ({ path: { type: 'PathPrefix', value } });
export const exact = (value: string): Match => ({ path: { type: 'Exact', value } });
export const regex = (value: string): Match => ({ path: { type: 'RegularExpression', value } });
const named = (values: Readonly<Record<string, string>>): object[] =>
  Object.entries(values).map(([name, value]) => ({ name, value }));
export const header = (values: Readonly<Record<string, string>>): Match => ({ headers: named(values) });
export const query = (values: Readonly<Record<string, string>>): Match => ({ queryParams: named(values) });
export const method = (name: string): Match => ({ method: name });
/** One match with all of these conditions. */
export const all = (...matches: readonly Match[]): Match => Object.assign({}, ...matches) as Match;

/** One rule: any of the matches, to one backend. */
export const rule = (backend: string, matches?: readonly Match[], more: object = {}): object => ({
  ...(matches === undefined ? {} : { matches }),
  backendRefs: [{ name: backend, port: 80 }],
  ...more,
});

/** One rule that forwards nothing, or says itself where. */
export const bare = (matches: readonly Match[], more: object): object => ({ matches, ...more });

export const filters = (...list: readonly object[]): { readonly filters: readonly object[] } => ({ filters: list });
export const redirect = (requestRedirect: object): object => ({ type: 'RequestRedirect', requestRedirect });
export const rewrite = (urlRewrite: object): object => ({ type: 'URLRewrite', urlRewrite });
export const replacePrefix = (replacePrefixMatch: string): object => ({
  path: { type: 'ReplacePrefixMatch', replacePrefixMatch },
});
export const replacePath = (replaceFullPath: string): object => ({
  path: { type: 'ReplaceFullPath', replaceFullPath },
});
export const mirror = (name: string, more: object = {}): object => ({
  type: 'RequestMirror',
  requestMirror: { backendRef: { name, port: 80 }, ...more },
});
export const changeRequest = (requestHeaderModifier: object): object => ({
  type: 'RequestHeaderModifier',
  requestHeaderModifier,
});
export const changeReply = (responseHeaderModifier: object): object => ({
  type: 'ResponseHeaderModifier',
  responseHeaderModifier,
});
export const cors = (policy: object): object => ({ type: 'CORS', cors: policy });
