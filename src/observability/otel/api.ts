/**
 * The part of `@opentelemetry/api` 1.x that inmesh uses, as it is typed there. Written down here so that the package is an optional
 * peer for the compiler, too: who has it can hand it in, who has it not needs no types of it.
 */
export interface OtelApi {
  readonly context: { active(): OtelContext; with<T>(context: OtelContext, run: () => T): T };
  readonly trace: {
    getTracerProvider(): OtelTracerProvider;
    getSpanContext(context: OtelContext): OtelSpanContext | undefined;
    setSpan(context: OtelContext, span: OtelSpan): OtelContext;
    setSpanContext(context: OtelContext, spanContext: OtelSpanContext): OtelContext;
  };
  readonly propagation: {
    inject<C>(context: OtelContext, carrier: C, setter?: { set(carrier: C, key: string, value: string): void }): void;
    fields(): string[];
  };
  readonly metrics: { getMeter(name: string): OtelMeter };
  createContextKey(description: string): symbol;
  createTraceState(raw: string): OtelTraceState;
}

export interface OtelTraceState {
  set(key: string, value: string): OtelTraceState;
  unset(key: string): OtelTraceState;
  get(key: string): string | undefined;
  serialize(): string;
}

export interface OtelContext {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): OtelContext;
  deleteValue(key: symbol): OtelContext;
}

export interface OtelSpanContext {
  traceId: string;
  spanId: string;
  traceFlags: number;
  isRemote?: boolean;
  traceState?: OtelTraceState;
}

export type OtelAttributes = Record<string, string | number | boolean>;

export interface OtelSpan {
  spanContext(): OtelSpanContext;
  isRecording(): boolean;
  setAttributes(attributes: OtelAttributes): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
}

export interface OtelTracer {
  startSpan(
    name: string,
    options: { kind: number; attributes: OtelAttributes; links?: { context: OtelSpanContext }[] },
    context: OtelContext,
  ): OtelSpan;
}

export interface OtelTracerProvider {
  getTracer(name: string): OtelTracer;
}

export interface OtelObservable {
  addCallback(callback: (result: { observe(value: number, attributes?: OtelAttributes): void }) => void): void;
  removeCallback(callback: (result: { observe(value: number, attributes?: OtelAttributes): void }) => void): void;
}

export interface OtelMeter {
  createObservableCounter(name: string, options: { unit: string; description: string }): OtelObservable;
  createObservableGauge(name: string, options: { unit: string; description: string }): OtelObservable;
}

/** `SpanKind.CLIENT`. */
export const SPAN_KIND_CLIENT = 2;
/** `SpanStatusCode.ERROR`. */
export const STATUS_ERROR = 2;
/** The name of tracers, meters and metric scopes. */
export const SCOPE_NAME = 'inmesh';
