export { type ConfigDumpJson, type ResourceJson, resourcesAsJson } from './json.js';
export { type CsdsDefinition, type CsdsImplementation, csdsService } from './service.js';
