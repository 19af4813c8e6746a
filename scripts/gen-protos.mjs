/**
 * Makes `src/xds/gen/descriptor.json`: the part of the Envoy v3 schema that inmesh speaks, as a protobufjs JSON descriptor.
 *
 * The .proto files come from the development dependency `@grpc/grpc-js-xds` (Envoy, xDS and Google APIs, Apache-2.0, as of July
 * 2024); what is newer is listed in `gen-protos.config.mjs`. Parsing 90 files takes 300 ms and 38 MB in every process that does
 * it; loading the pruned descriptor takes a tenth of that. Output depends on the inputs alone: types and fields are sorted.
 *
 * Usage: `node scripts/gen-protos.mjs [--check]`; with `--check` nothing is written, and the exit code is 1 when the file is stale.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import {
  NEWER_ENUM_VALUES,
  NEWER_FIELDS,
  NEWER_TYPES,
  OPAQUE,
  PROTO_FILES,
  ROOT_SERVICES,
  ROOT_TYPES,
} from './gen-protos.config.mjs';

const require = createRequire(import.meta.url);
const project = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(project, 'src/xds/gen/descriptor.json');
const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
const includes = [
  ...['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name)),
  dirname(require.resolve('protobufjs/package.json')),
];

/** Parses the roots and all that they import; field names stay as in the .proto. */
function load() {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => {
    const found = includes.map((folder) => join(folder, target)).find((path) => existsSync(path));
    if (found === undefined)
      throw new Error(`gen-protos: ${target} is in none of ${includes.join(', ')}; run npm install`);
    return found;
  };
  // Resolves every name as it ends, so what is added afterwards is resolved by hand.
  root.loadSync([...PROTO_FILES], { keepCase: true });
  for (const [fullName, json] of Object.entries(NEWER_TYPES)) {
    const path = fullName.split('.');
    const name = path.pop();
    root.define(path).add(protobuf.Type.fromJSON(name, json));
  }
  for (const [fullName, fields] of Object.entries(NEWER_FIELDS)) {
    const type = root.lookupType(fullName);
    for (const [name, json] of Object.entries(fields)) type.add(protobuf.Field.fromJSON(name, json));
    for (const name of Object.keys(fields)) type.fields[name].resolve();
  }
  for (const [fullName, values] of Object.entries(NEWER_ENUM_VALUES))
    for (const [name, number] of Object.entries(values)) root.lookupEnum(fullName).add(name, number);
  for (const fullName of Object.keys(NEWER_TYPES))
    for (const field of root.lookupType(fullName).fieldsArray) field.resolve();
  return root;
}

/** Every message and enum that a root type or service can hold, the roots included. Opaque messages lead no further. */
function reachable(root) {
  const kept = new Set();
  const visit = (type) => {
    if (kept.has(type)) return;
    kept.add(type);
    if (!(type instanceof protobuf.Type) || OPAQUE.has(type.fullName.slice(1))) return;
    for (const field of type.fieldsArray) if (field.resolvedType !== null) visit(field.resolvedType);
  };
  for (const name of ROOT_TYPES) visit(root.lookupType(name));
  for (const [service, methods] of Object.entries(ROOT_SERVICES)) {
    for (const method of methods) {
      const found = root.lookupService(service).methods[method];
      if (found === undefined) throw new Error(`gen-protos: ${service} has no method ${method}`);
      visit(found.resolvedRequestType);
      visit(found.resolvedResponseType);
    }
  }
  for (const name of OPAQUE) {
    if (!kept.has(root.lookupTypeOrEnum(name)))
      throw new Error(`gen-protos: ${name} is opaque and reachable from nowhere: remove it`);
  }
  return kept;
}

/** protobufjs spells the fields of its own `google.protobuf` copies in camel case; the .proto files say `number_value`. */
const protoName = (type, name) =>
  type.fullName.startsWith('.google.protobuf.') ? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name;

const sorted = (object) => Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));

/** A field with what the wire needs and no more: no comments, no options, the full name of its type. All files are proto3: packed. */
function fieldJson(field) {
  const json = { type: field.resolvedType === null ? field.type : field.resolvedType.fullName.slice(1), id: field.id };
  if (field.map) json.keyType = field.keyType;
  else if (field.repeated) json.rule = 'repeated';
  return json;
}

function typeJson(type) {
  if (OPAQUE.has(type.fullName.slice(1))) return { fields: {} };
  const json = {
    fields: Object.fromEntries(
      type.fieldsArray.sort((a, b) => a.id - b.id).map((field) => [protoName(type, field.name), fieldJson(field)]),
    ),
  };
  // One of one field says nothing: that is how `optional` is written, and how protos leave room for later.
  const several = type.oneofsArray.filter((oneof) => oneof.fieldsArray.length > 1);
  const oneofs = several.map((oneof) => [
    oneof.name,
    { oneof: oneof.fieldsArray.map((field) => protoName(type, field.name)) },
  ]);
  if (oneofs.length > 0) json.oneofs = sorted(Object.fromEntries(oneofs));
  return json;
}

function enumJson(type) {
  return { values: { ...type.values } };
}

function serviceJson(service, methods) {
  const entries = methods.map((name) => {
    const { resolvedRequestType, resolvedResponseType, requestStream, responseStream } = service.methods[name];
    const json = {
      requestType: resolvedRequestType.fullName.slice(1),
      responseType: resolvedResponseType.fullName.slice(1),
    };
    if (requestStream) json.requestStream = true;
    if (responseStream) json.responseStream = true;
    return [name, json];
  });
  return { methods: Object.fromEntries(entries) };
}

/** Puts `json` at its full name into the tree of namespaces. */
function place(tree, fullName, json) {
  const path = fullName.replace(/^\./, '').split('.');
  let at = tree;
  for (const part of path.slice(0, -1)) {
    at.nested ??= {};
    at.nested[part] ??= {};
    at = at.nested[part];
  }
  const name = path[path.length - 1];
  at.nested ??= {};
  at.nested[name] = { ...json, ...at.nested[name] };
}

function sortTree(tree) {
  if (tree.nested === undefined) return tree;
  const nested = sorted(
    Object.fromEntries(Object.entries(tree.nested).map(([name, child]) => [name, sortTree(child)])),
  );
  return { ...tree, nested };
}

function descriptor() {
  const root = load();
  const tree = {};
  for (const type of reachable(root))
    place(tree, type.fullName, type instanceof protobuf.Enum ? enumJson(type) : typeJson(type));
  for (const [name, methods] of Object.entries(ROOT_SERVICES))
    place(tree, name, serviceJson(root.lookupService(name), methods));
  return `${JSON.stringify(sortTree(tree))}\n`;
}

const text = descriptor();
if (process.argv.includes('--check')) {
  if (!existsSync(output) || readFileSync(output, 'utf8') !== text) {
    console.error('src/xds/gen/descriptor.json is missing or stale: run npm run gen');
    process.exitCode = 1;
  }
} else {
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, text);
}
