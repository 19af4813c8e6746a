import type { Token } from './parse.js';
import type { Value } from './values.js';

type Operator = Exclude<Token, string>;

/** Operators at most: each is asked for every call, and they may not stand in one another. */
const MAX_OPERATORS = 10;

/**
 * `%COALESCE({"operators": ["A", {"command": "REQ", "param": "x", "max_length": 5}]})%`: the first of them that has a value which is not empty. Throws an
 * Error that says what is wrong.
 */
export function coalesced(argument: string, compile: (operator: Operator) => Value): Value {
  const values = operatorsOf(argument).map(compile);
  return (request, reply, env) => {
    for (const value of values) {
      const text = value(request, reply, env);
      if (text !== undefined && text !== '') return text;
    }
    return undefined;
  };
}

function operatorsOf(argument: string): Operator[] {
  const { operators } = parsed(argument);
  if (!Array.isArray(operators) || operators.length === 0 || operators.length > MAX_OPERATORS) {
    throw new Error(`must have "operators", a list of 1 to ${MAX_OPERATORS} commands`);
  }
  return operators.map(operatorOf);
}

function parsed(argument: string): { readonly operators?: unknown } {
  try {
    const config: unknown = JSON.parse(argument);
    if (typeof config === 'object' && config !== null) return config;
  } catch {
    // Told below, like JSON of another kind.
  }
  throw new Error('must be a JSON object');
}

function operatorOf(given: unknown): Operator {
  const {
    command,
    param,
    max_length: length,
  } = (typeof given === 'string' ? { command: given } : (given ?? {})) as Readonly<Record<string, unknown>>;
  const isNumber = length === undefined || (Number.isInteger(length) && (length as number) >= 0);
  if (typeof command !== 'string' || (param !== undefined && typeof param !== 'string') || !isNumber) {
    throw new Error('has an operator that is neither a name nor {"command", "param", "max_length"}');
  }
  if (command === 'COALESCE') throw new Error('must not stand in itself');
  return { name: command, argument: param, length: length as number | undefined };
}
