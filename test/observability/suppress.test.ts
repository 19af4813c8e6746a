import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import * as api from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { isTracingSuppressed } from '@opentelemetry/core';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { OtelLink } from '../../src/observability/otel/link.js';
import { suppressDoubleSpans } from '../../src/observability/trace/suppress.js';
import { aCall, aReply } from '../support/calls.js';

const listen = () => {};
afterEach(() => {
  unsubscribe('undici:request:create', listen);
  api.trace.disable();
  api.context.disable();
});

/** Whether OpenTelemetry was told to make no spans while the transport was called. */
async function suppressed(): Promise<boolean> {
  let seen = false;
  await suppressDoubleSpans(new OtelLink(api, silentLogger))(() => {
    seen = isTracingSuppressed(api.context.active());
    return Promise.resolve(aReply());
  })(aCall());
  return seen;
}

test('an instrumentation that listens to undici makes no span of its own below ours', async () => {
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  api.trace.setGlobalTracerProvider(new BasicTracerProvider());
  expect(await suppressed()).toBe(false);
  subscribe('undici:request:create', listen);
  expect(await suppressed()).toBe(true);
  expect(isTracingSuppressed(api.context.active())).toBe(false);
});

test('without an SDK nothing is suppressed', async () => {
  subscribe('undici:request:create', listen);
  expect(await suppressed()).toBe(false);
});
