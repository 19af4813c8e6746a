import { all, type Case, exact, header, method, prefix, query, regex, rule } from './case.js';

/**
 * Which rule takes a request: what HTTPRoute's matching, precedence and defaulting ask for, and the conformance suite of Gateway API expects, in rules
 * of our own.
 */
export const MATCHING: readonly Case[] = [
  {
    about: 'any of several matches of a rule is enough, and prefixes cover whole segments',
    routes: [
      [rule('v1', [prefix('/'), header({ stage: 'live' })]), rule('v2', [prefix('/next'), header({ stage: 'next' })])],
    ],
    asks: [
      ['/', 'v1'],
      ['/anything', 'v1'],
      ['/', 'v1', { Stage: 'live' }],
      ['/next', 'v2'],
      ['/next/', 'v2'],
      ['/next/page', 'v2'],
      ['/nextpage', 'v1'],
      ['/in/next/page', 'v1'],
      ['/', 'v2', { Stage: 'next' }],
      // A longer path goes before any number of headers.
      ['/next', 'v2', { stage: 'live' }],
    ],
  },
  {
    about: 'exact paths go before prefixes, longer prefixes before shorter ones, whatever the order of the rules',
    routes: [
      [
        rule('v3', [prefix('/shop/')]),
        rule('v1', [exact('/shop')]),
        rule('v1', [prefix('/shop/sale/')]),
        rule('v2', [prefix('/shop/sale/shoes')]),
        rule('v2', [exact('/shop/sale')]),
        rule('v3', [exact('/shop/sale/shoes')]),
      ],
    ],
    asks: [
      ['/shop', 'v1'],
      ['/shop/', 'v3'],
      ['/shop/hats', 'v3'],
      ['/shop/sale', 'v2'],
      ['/shop/sale/', 'v1'],
      ['/shop/sale/hats', 'v1'],
      ['/shop/sale/shoes', 'v3'],
      ['/shop/sale/shoes/', 'v2'],
      ['/shop/sale/shoes/red', 'v2'],
      ['/shopping', 404],
      ['/Shop', 404],
    ],
  },
  {
    about: 'all headers of a match count, names in any case, values in theirs, and more of them go first',
    routes: [
      [
        rule('v1', [header({ stage: 'one' })]),
        rule('v2', [header({ stage: 'two' })]),
        rule('v1', [header({ stage: 'two', colour: 'red' })]),
        rule('v3', [header({ colour: 'blue' }), header({ colour: 'green' })]),
      ],
    ],
    asks: [
      ['/', 'v1', { Stage: 'one' }],
      ['/', 'v2', { STAGE: 'two' }],
      ['/', 'v1', { stage: 'two', colour: 'red' }],
      // As many headers each: the rule that stands first.
      ['/', 'v2', { stage: 'two', colour: 'blue' }],
      ['/', 'v3', { colour: 'blue' }],
      ['/', 'v3', { Colour: 'green' }],
      ['/', 404, { colour: 'red' }],
      ['/', 404, { stage: 'Two' }],
      ['/', 404],
    ],
  },
  {
    about: 'query parameters match whole values, names in their case, and the first of several counts',
    routes: [
      [
        rule('v1', [query({ pet: 'cat' })]),
        rule('v2', [query({ pet: 'dog' })]),
        rule('v3', [query({ pet: 'dog', size: 'big' }), query({ PET: 'Cat' })]),
        rule('v2', [all(header({ stage: 'one' }), query({ pet: 'cat' }))]),
        rule('v3', [all(prefix('/two'), header({ stage: 'two' }), query({ pet: 'cat' }))]),
        rule('v1', [
          all(prefix('/three'), query({ pet: 'owl' })),
          all(prefix('/four'), header({ stage: 'three' }), query({ pet: 'emu' })),
        ]),
        rule('v1', [prefix('/five')]),
        rule('v2', [query({ pet: 'hydra' })]),
        rule('v3', [header({ stage: 'four' })]),
      ],
    ],
    asks: [
      ['/?pet=cat', 'v1'],
      ['/?pet=dog', 'v2'],
      ['/?pet=dog&size=big', 'v3'],
      ['/?size=big&pet=dog', 'v3'],
      ['/?pet=dog&size=small', 'v2'],
      ['/?PET=Cat', 'v3'],
      ['/?pet=cat&more=1', 'v1'],
      ['/?pet=cat&pet=dog', 'v1'],
      ['/?pet=catdog', 404],
      ['/?pet=', 404],
      ['/?size=big', 404],
      ['/', 404],
      ['/?pet=cat', 'v2', { stage: 'one' }],
      ['/two?pet=cat', 'v3', { stage: 'two' }],
      ['/three?pet=owl', 'v1'],
      ['/?pet=owl', 404],
      ['/four?pet=emu', 'v1', { stage: 'three' }],
      ['/four?pet=emu', 404],
      // Path before header before query.
      ['/five?pet=hydra', 'v1', { stage: 'four' }],
      ['/?pet=hydra', 'v3', { stage: 'four' }],
    ],
  },
  {
    about: 'a method goes after the path and before headers',
    routes: [
      [
        rule('v1', [method('POST')]),
        rule('v2', [method('GET')]),
        rule('v1', [all(prefix('/one'), method('GET'))]),
        rule('v2', [all(header({ stage: 'one' }), method('PUT'))]),
        rule('v3', [all(prefix('/two'), header({ stage: 'two' }), method('POST'))]),
        rule('v1', [
          all(prefix('/three'), method('PATCH')),
          all(prefix('/four'), header({ stage: 'three' }), method('DELETE')),
        ]),
        rule('v1', [prefix('/five')]),
        rule('v2', [method('PATCH')]),
        rule('v3', [header({ stage: 'four' })]),
      ],
    ],
    asks: [
      ['POST /', 'v1'],
      ['GET /', 'v2'],
      ['HEAD /', 404],
      ['GET /one', 'v1'],
      ['PUT /', 'v2', { stage: 'one' }],
      ['PUT /', 404],
      ['POST /two', 'v3', { stage: 'two' }],
      ['PATCH /three', 'v1'],
      ['DELETE /four', 'v1', { stage: 'three' }],
      ['DELETE /four', 404],
      ['PATCH /five', 'v1', { stage: 'four' }],
      ['PATCH /', 'v2', { stage: 'four' }],
      ['PUT /', 'v3', { stage: 'four' }],
    ],
  },
  {
    about: 'rules of several routes on one Service take part in one order of precedence',
    routes: [
      [rule('v1', [prefix('/'), header({ stage: 'one' })])],
      [rule('v2', [prefix('/next'), header({ stage: 'two' })])],
    ],
    asks: [
      ['/', 'v1'],
      ['/page', 'v1', { stage: 'one' }],
      ['/next', 'v2'],
      ['/next/page', 'v2', { stage: 'one' }],
      ['/', 'v2', { stage: 'two' }],
      // As specific each: the route whose name is first.
      ['/', 'v1', { stage: 'one', x: 'y' }],
    ],
  },
  {
    about: 'a rule without matches takes every path, after all that ask for more',
    routes: [[rule('v1'), rule('v2', [header({ stage: 'two' })]), rule('v3', [exact('/only')])]],
    asks: [
      ['/', 'v1'],
      ['/any/where?x=1', 'v1'],
      ['DELETE /', 'v1'],
      ['/', 'v2', { stage: 'two' }],
      ['/only', 'v3', { stage: 'two' }],
    ],
  },
  {
    about: 'expressions cover the whole value',
    routes: [
      [
        rule('v1', [regex('/v[0-9]+')]),
        rule('v2', [{ headers: [{ name: 'stage', type: 'RegularExpression', value: 'a|b+' }] }]),
        rule('v3', [{ queryParams: [{ name: 'q', type: 'RegularExpression', value: '[0-9]+' }] }]),
      ],
    ],
    asks: [
      ['/v12', 'v1'],
      ['/v12/more', 404],
      ['/x/v12', 404],
      ['/', 'v2', { stage: 'bbb' }],
      ['/', 404, { stage: 'ab' }],
      ['/?q=42', 'v3'],
      ['/?q=42x', 404],
    ],
  },
  {
    about: 'of several entries for one name the first counts',
    routes: [
      [
        rule('v1', [
          {
            headers: [
              { name: 'stage', value: 'one' },
              { name: 'Stage', value: 'two' },
            ],
            queryParams: [
              { name: 'q', value: 'one' },
              { name: 'q', value: 'two' },
            ],
          },
        ]),
      ],
    ],
    asks: [
      ['/?q=one', 'v1', { stage: 'one' }],
      ['/?q=two', 404, { stage: 'one' }],
      ['/?q=one', 404, { stage: 'two' }],
    ],
  },
];
