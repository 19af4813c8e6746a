import { coalesced } from './coalesce.js';
import { type Command, COMMANDS, REFUSED, supportedCommands } from './commands.js';
import { parseFormat, type Token } from './parse.js';
import type { FormatEnv, FormatReply, FormatRequest, Value } from './values.js';

/** A format ready to be filled in: text that is always the same, or what makes it. */
export type Format = string | ((request: FormatRequest, reply: FormatReply | undefined, env: FormatEnv) => string);

/** Compiles a substitution format string of Envoy's. Throws an Error that says what is wrong with it. */
export function compileFormat(text: string): Format {
  if (!text.includes('%')) return text;
  const pieces = parseFormat(text).map((token) => (typeof token === 'string' ? token : compileCommand(token)));
  if (pieces.every((piece) => typeof piece === 'string')) return pieces.join('');
  return (request, reply, env) => {
    let out = '';
    for (const piece of pieces) out += typeof piece === 'string' ? piece : clean(piece(request, reply, env));
    return out;
  };
}

/** What is wrong with a format, or undefined. */
export function formatProblem(text: string): string | undefined {
  try {
    compileFormat(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function compileCommand({ name, argument, length }: Exclude<Token, string>): Value {
  const reason = REFUSED.get(name);
  if (reason !== undefined) throw new Error(`%${name}(…)% is not supported: ${reason}`);
  const command = name === 'COALESCE' ? COALESCE : COMMANDS.get(name);
  if (command === undefined) {
    throw new Error(
      `%${name}% is no command that is known; those that have a value are ${supportedCommands().join(', ')}`,
    );
  }
  if (argument !== undefined && command.argument === 'none') throw new Error(`%${name}% takes no argument`);
  if (!argument && command.argument === 'required') throw new Error(`%${name}% needs an argument: %${name}(…)%`);
  if (length !== undefined && !command.length) throw new Error(`%${name}% takes no maximal length`);
  const value = compileArgument(name, argument, command.compile);
  if (length === undefined) return value;
  return (request, reply, env) => value(request, reply, env)?.slice(0, length);
}

const COALESCE: Command = {
  argument: 'required',
  length: true,
  compile: (argument) => coalesced(argument, compileCommand),
};

function compileArgument(name: string, argument: string | undefined, compile: (argument: string) => Value): Value {
  try {
    return compile(argument ?? '');
  } catch (error) {
    throw new Error(`%${name}(${argument ?? ''})% ${(error as Error).message}`, { cause: error });
  }
}

/** What may not stand in a header field goes: a decoded query parameter can hold anything (RFC 9110 section 5.5). */
const clean = (value: string | undefined): string =>
  value === undefined || !FORBIDDEN.test(value) ? (value ?? '') : value.replace(FORBIDDEN_ALL, '');

const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;
const FORBIDDEN_ALL = /[^\t\x20-\x7e\x80-\xff]/g;
