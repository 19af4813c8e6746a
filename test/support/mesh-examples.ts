/** Istio's bookinfo as far as a laptop needs it: HTTP and gRPC services, a canary, a header route. */
export const bookinfo = `
apiVersion: v1
kind: Service
metadata: { name: productpage, labels: { version: v1 } }
spec: { endpoints: ["127.0.0.1:9080"] }
---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec:
  ports: [{ name: http, port: 9080 }]
  endpoints:
    - { address: "127.0.0.1:9081", version: v1 }
    - { address: "127.0.0.1:9082", version: v1, zone: z2 }
---
apiVersion: v1
kind: Service
metadata: { name: reviews-v2, labels: { version: v2 } }
spec:
  ports: [{ name: http, port: 9080 }]
  endpoints: ["127.0.0.1:9083"]
---
apiVersion: v1
kind: Service
metadata: { name: ratings }
spec:
  ports: [{ name: grpc, port: 50051, appProtocol: kubernetes.io/h2c }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ratings-x, labels: { kubernetes.io/service-name: ratings } }
addressType: IPv4
ports: [{ name: grpc, port: 50051 }]
endpoints:
  - { addresses: [127.0.0.1], conditions: { ready: true } }
  - { addresses: [127.0.0.2], conditions: { ready: false, serving: true, terminating: true }, zone: z2 }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, group: "", name: reviews, port: 9080 }]
  rules:
    - name: tester
      matches: [{ headers: [{ name: end-user, value: jason }] }]
      backendRefs: [{ name: reviews-v2, port: 9080 }]
    - name: canary
      backendRefs: [{ name: reviews, port: 9080, weight: 90 }, { name: reviews-v2, port: 9080, weight: 10 }]
      timeouts: { request: 2s, backendRequest: 500ms }
      retry: { attempts: 2, codes: [502, 503] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: ratings }
spec:
  parentRefs: [{ kind: Service, group: "", name: ratings }]
  rules:
    - matches: [{ method: { service: bookinfo.Ratings, method: Get } }]
      backendRefs: [{ name: ratings, port: 50051 }]
      retry: { attempts: 0 }
    - backendRefs: [{ name: ratings, port: 50051 }]
      timeouts: { request: 1s }
      retry: { codes: [UNAVAILABLE, RESOURCE_EXHAUSTED] }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  connectionPool: { maxRequests: 100 }
  retryConstraint: { budget: { percent: 10 } }
`;

/** Every kind of thing that can be said, once. */
export const everything = `
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { unknownHosts: deny }
---
apiVersion: v1
kind: Service
metadata: { name: a, namespace: default, labels: { app.kubernetes.io/version: "7" }, annotations: { x: y }, uid: 1-2 }
spec:
  selector: { app: a }
  ports:
    - { name: web, port: 80, targetPort: 8080, protocol: TCP, appProtocol: http, nodePort: 30000 }
    - { name: rpc, port: 90, targetPort: rpc, appProtocol: grpc }
    - { name: dns, port: 53, protocol: UDP }
  endpoints:
    - 10.0.0.1
    - "[2001:db8::1]:8081"
    - { address: 10.0.0.2, ports: { rpc: 9091 }, weight: 5, version: v2, zone: z1, labels: { tier: gold } }
    - address: 10.0.0.4
      locality: r1/z2/s3
      health: DEGRADED
      hostname: four.example
      hashKey: four
      additionalAddresses: ["2001:db8::4"]
      healthCheckConfig: { portValue: 9000, hostname: check.example }
---
apiVersion: v1
kind: Service
metadata: { name: b }
spec: { endpoints: [] }
---
apiVersion: v1
kind: Service
metadata: { name: b, namespace: other }
spec: { endpoints: ["b-1:1", "b-2:1"] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: from-default, namespace: other }
spec:
  from:
    - { group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default }
    - { group: inmesh.dev, kind: TrafficPolicy, namespace: default }
  to: [{ group: "", kind: Service, name: b }]
---
apiVersion: v1
kind: Service
metadata: { name: ext }
spec: { type: ExternalName, externalName: api.example.com, ports: [{ port: 443, appProtocol: https }] }
---
apiVersion: v1
kind: Service
metadata: { name: dns }
spec: { dns: "db.example.com:8443" }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a-1, labels: { kubernetes.io/service-name: a, version: v3 } }
addressType: IPv6
ports: [{ name: web, port: 8080, protocol: TCP, appProtocol: http }]
endpoints: [{ addresses: ["2001:db8::2"], hostname: x, hints: { forZones: [{ name: z }] }, targetRef: { kind: Pod, name: a-1-x, namespace: default } }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a-2, labels: { kubernetes.io/service-name: a } }
addressType: IPv4
ports: [{ name: web, port: 8080 }]
endpoints: [{ addresses: [10.0.0.9], targetRef: { kind: Pod, name: a-1-x } }, { addresses: [10.0.0.10], weight: 3, hashKey: ten }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: a, creationTimestamp: "2026-01-01T00:00:00Z" }
spec:
  hostnames: [a.example]
  parentRefs: [{ kind: Service, group: "", name: a, sectionName: web }]
  rules:
    - name: match
      matches:
        - path: { type: Exact, value: /exact }
          method: POST
          headers: [{ name: X-A, value: "1" }, { name: x-b, type: RegularExpression, value: "[a-z]+" }]
          queryParams: [{ name: q, value: "1" }, { name: r, type: RegularExpression, value: ".*x" }]
        - path: { type: RegularExpression, value: "/items/[0-9]+" }
      backendRefs:
        - name: b
          weight: 3
          filters:
            - type: RequestHeaderModifier
              requestHeaderModifier: { set: [{ name: x-backend, value: "b 100%" }], remove: [x-internal] }
        - { name: dns, weight: 1 }
        - { name: b, namespace: other, port: 80, weight: 0 }
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-set, value: "1" }], add: [{ name: x-add, value: "" }], remove: [x-gone] }
        - type: ResponseHeaderModifier
          responseHeaderModifier: { add: [{ name: x-reply, value: "1" }] }
      timeouts: { request: 10s, backendRequest: 1s }
      retry: { codes: [500, 503], attempts: 5, backoff: 10ms }
    - name: rewrite
      matches: [{ path: { value: /old } }]
      filters: [{ type: URLRewrite, urlRewrite: { hostname: new.example, path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } } }]
      backendRefs: [{ name: ext }]
    - name: full
      matches: [{ path: { value: /full } }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /other } } }]
      backendRefs: [{ name: a }]
    - name: redirect
      matches: [{ path: { value: /gone } }]
      filters:
        - type: RequestRedirect
          requestRedirect: { scheme: https, hostname: x.example, path: { type: ReplacePrefixMatch, replacePrefixMatch: / }, statusCode: 301 }
    - name: nowhere
      matches: [{ path: { value: /nowhere } }]
    - name: shared
      matches: [{ path: { value: /shared } }]
      backendRefs: [{ name: b, namespace: other }]
      filters:
        - type: CORS
          cors: { allowOrigins: ["https://*.a.example", "https://b.example"], allowMethods: [GET], allowHeaders: [x-a], exposeHeaders: [x-b], allowCredentials: true, maxAge: 60 }
        - { type: RequestMirror, requestMirror: { backendRef: { name: dns }, percent: 5 } }
        - { type: RequestMirror, requestMirror: { backendRef: { name: b }, fraction: { numerator: 1, denominator: 1000 } } }
      sessionPersistence: { sessionName: s, absoluteTimeout: 1h, cookieConfig: { lifetimeType: Permanent } }
    - backendRefs: [{ name: a }]
      retry: { attempts: 0 }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: a }
spec:
  parentRefs: [{ kind: Service, group: "", name: a, port: 90 }]
  rules:
    - name: method
      matches: [{ method: { service: p.S, method: M }, headers: [{ name: k, value: v }] }]
      backendRefs: [{ name: a, port: 90 }]
      retry: { codes: [INTERNAL], attempts: 2, backoff: 20ms }
    - name: regex
      matches: [{ method: { type: RegularExpression, method: "Get.*" } }]
      filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x, value: y }] } }]
      backendRefs: [{ name: a, port: 90 }]
      timeouts: { request: 0s }
      sessionPersistence: { type: Header, sessionName: x-session }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: a }
spec:
  targetRefs: [{ name: a }]
  loadBalancer: { simple: PEAK_EWMA, decay: 5s, defaultRtt: 20ms }
  subsets: [{ name: gold, labels: { tier: gold } }]
  connectionPool:
    maxConnections: 10
    maxPendingRequests: 20
    maxRequests: 30
    maxRetries: 4
    high: { maxPendingRequests: 5, maxRequests: 6, maxRetries: 7 }
    batchPercent: 20
  breaker:
    consecutiveFailures: 3
    successRate: { percent: 50, window: 5s, minimumRequests: 10, buckets: 5 }
    basePenalty: 2s
    maxPenalty: 30s
    jitterPercent: 20
    probes: 2
  fallback:
    - { service: { name: b, namespace: other } }
    - { stale: { maxAge: 10m, maxEntries: 10, maxEntryBytes: 1000 } }
    - { static: { status: 203, headers: [{ name: X-Fallback, value: static }], json: { items: [1, a, null] }, grpcStatus: UNAVAILABLE } }
    - { static: { bodyBase64: CgVoZWxsbw== } }
    - { function: { name: menu } }
  retryConstraint: { budget: { percent: 30, interval: 20s }, minRetryRate: { count: 1, interval: 2s } }
  connectTimeout: 500ms
  idleTimeout: 1m
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: b }
spec:
  targetRefs: [{ name: b }, { name: dns }]
  loadBalancer:
    simple: LEAST_REQUEST
    choiceCount: 3
    activeRequestBias: 1.5
    warmup: { duration: 30s, minimumPercent: 20, aggression: 2 }
    localityLbSetting:
      zoneAware: { routingEnabled: 50, minClusterSize: 3, forceLocalZone: { minSize: 2 }, failTrafficOnPanic: true }
      failoverOrder: [r1/z2, z1]
    panicThreshold: 40
    overprovisioningFactor: 140
    aperture: { type: Deterministic, size: 20, peerCount: 5, peerIndex: 2 }
  subsets: [{ name: gold, labels: { tier: gold } }, { name: gold-v2, labels: { tier: gold, version: v2 }, fallbackKeys: [tier] }]
  outlierDetection:
    interval: 1s
    baseEjectionTime: 10s
    maxEjectionPercent: 50
    consecutive5xx: 3
    consecutiveGatewayFailure: 2
    splitExternalLocalOriginErrors: true
    consecutiveLocalOriginFailure: 4
    successRateStdevFactor: 1.5
    failurePercentageThreshold: 30
  healthChecks:
    - timeout: 2s
      interval: 3s
      intervalJitterPercent: 6
      noTrafficHealthyInterval: 2m
      altPort: 8080
      httpHealthCheck: { path: /health, host: b.example, method: HEAD, expectedStatuses: [{ start: 200, end: 300 }], retriableStatuses: [{ start: 429, end: 430 }], requestHeadersToAdd: [{ name: x, value: y }] }
    - { grpcHealthCheck: { serviceName: p.S } }
    - { tcpHealthCheck: { send: "0a", receive: ["0b"] } }
  healthWatch: { service: p.S }
  connectionPool: { warmConnections: 2, maxConnectionDuration: 10m, maxRequestsPerConnection: 100, http2Keepalive: { interval: 30s }, retryBudget: { percent: 25, minRetryConcurrency: 5 } }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: hash, namespace: other }
spec:
  targetRefs: [{ name: b }]
  loadBalancer:
    consistentHash:
      httpHeaderName: x-user
      httpCookie: { name: user, path: /, ttl: 1h }
      httpQueryParameterName: user
      useSourceIp: true
      useHostnameForHashing: true
      hashBalanceFactor: 125
      ringHash: { minimumRingSize: 64, maximumRingSize: 1024 }
    localityLbSetting: { distribute: [{ from: "*", to: { r1: 1 } }] }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: ext }
spec:
  targetRefs: [{ name: ext }]
  sessionPersistence: { strict: true }
  loadBalancer: { custom: { name: example.com/nearest, config: { factor: 2, list: [a] } } }
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: ext }
spec:
  targetRefs: [{ group: "", kind: Service, name: ext }]
  retryConstraint: { budget: { percent: 15 } }
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: a }
spec:
  targetRefs: [{ kind: HTTPRoute, name: a, sectionName: match }, { kind: GRPCRoute, name: a }]
  sourceLabels: { app: web }
  sourcePrincipals: ["spiffe://example.org/web", "spiffe://example.org/shop"]
  requestPercent: 50
  subset: { tier: gold }
  consistentHash: { httpHeaderName: x-user }
  stickyBackends: true
  regexRewrite: { pattern: "^/a", substitution: /b }
  hostRewriteHeader: x-host
  appendForwardedHost: true
  priority: HIGH
  idleTimeout: 1m
  requestHeaders: { set: [{ name: x-id, value: "%REQ(x-request-id)%" }], add: [{ name: x-pct, value: "%%" }], addIfAbsent: [{ name: x-a, value: "" }], remove: [x-z] }
  responseHeaders: { add: [{ name: x-code, value: "%RESPONSE_CODE%" }] }
  retry:
    on: [5xx, envoy-ratelimited]
    maxBackoff: 1s
    perTryIdleTimeout: 2s
    retriableHeaders: [{ name: x-retry, type: Present }]
    retriableRequestHeaders: [{ name: x-safe, value: "yes" }]
    rateLimitedBackOff: { resetHeaders: [{ name: retry-after }, { name: x-reset, format: UNIX_TIMESTAMP }], maxInterval: 1m }
    hostSelectionAttempts: 3
  hedge: { maxAttempts: 3, delay: 50ms, maxExtraPercent: 10, nonFatalStatuses: [UNAVAILABLE] }
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: direct }
spec: { targetRefs: [{ kind: HTTPRoute, name: a, sectionName: nowhere }], directResponse: { status: 404, body: nowhere } }
`;
