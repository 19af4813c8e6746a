/** Every field of the policies of requests, once, and as little as they need around them. */
export const requestPolicies = `
apiVersion: v1
kind: Service
metadata: { name: a }
spec: { ports: [{ name: web, port: 80, targetPort: 8080 }, { name: rpc, port: 90, appProtocol: grpc }], endpoints: ["10.0.0.1"] }
---
apiVersion: v1
kind: Service
metadata: { name: b }
spec: { endpoints: ["10.0.0.2:1"] }
---
apiVersion: v1
kind: Service
metadata: { name: dns }
spec: { dns: "db.example.com:8443" }
---
apiVersion: v1
kind: Service
metadata: { name: b, namespace: other }
spec: { endpoints: ["10.0.0.3:1"] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: from-default, namespace: other }
spec:
  from: [{ group: inmesh.dev, kind: RateLimitPolicy, namespace: default }]
  to: [{ group: "", kind: Service, name: b }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: a }
spec:
  parentRefs: [{ kind: Service, group: "", name: a, sectionName: web }]
  rules:
    - { name: match, matches: [{ path: { value: /items } }], backendRefs: [{ name: b }] }
    - { name: shared, backendRefs: [{ name: a }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: a }
spec:
  parentRefs: [{ kind: Service, group: "", name: a, port: 90 }]
  rules: [{ name: method, matches: [{ method: { service: p.S, method: M } }], backendRefs: [{ name: a, port: 90 }] }]
---
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: a }
spec:
  targetRefs: [{ group: "", kind: Service, name: a }, { group: gateway.networking.k8s.io, kind: HTTPRoute, name: a, sectionName: match }]
  side: client
  limits:
    - name: per-user
      when:
        - path: { type: PathPrefix, value: /items }
          method: GET
          headers: [{ name: X-Beta, type: Present, invert: true }, { name: x-a, type: RegularExpression, value: "a+" }]
          queryParams: [{ name: q, value: "1" }]
        - path: { type: Exact, value: /one }
      key:
        - { header: X-User, as: user, absent: skipRule }
        - { remoteAddress: { v4PrefixLength: 24, v6PrefixLength: 64 } }
        - { claim: [realm_access, tier], absent: skipEntry }
        - { match: { value: gold, headers: [{ name: x-tier, value: gold }], queryParams: [{ name: t, value: gold }], expect: false } }
      limit: { requests: 100, per: 1m, burst: 20, algorithm: tokenBucket }
      overrides:
        - { match: { user: alice, remote_address: 10.0.0.0 }, unlimited: true }
        - { match: { user: bob }, limit: { requests: 5, per: day, timeZone: Europe/Berlin } }
      mode: enforce
      queue: { maxWait: 2s, maxLength: 10 }
      store: { redis: { name: shared, urls: ["redis://10.0.0.1:6379", "rediss://10.0.0.2"], timeout: 20ms, lease: { maxPermits: 10, ttl: 500ms } } }
      onStoreFailure: deny
      cost: { header: x-cost }
    - { name: all, limit: { requests: 1000, per: 1s, algorithm: slidingWindow }, mode: shadow, cost: 2 }
    - { name: log, key: [{ query: u }, { claim: sub }, { identity: {} }, { route: {} }, { method: {} }, { path: {} }, { host: {} }, { destination: {} }, { source: {} }, { generic: x }], limit: { requests: 10, per: 1h, algorithm: slidingLog } }
    - { name: asked, key: [{ generic: x }], store: { rateLimitService: { name: b, namespace: other, port: 80, domain: d, timeout: 30ms } }, onStoreFailure: allow }
  status: 503
  grpcStatus: UNAVAILABLE
  headers: { xRateLimit: seconds, standard: false }
---
apiVersion: inmesh.dev/v1alpha1
kind: QuotaPolicy
metadata: { name: a }
spec:
  targetRefs: [{ kind: GRPCRoute, name: a }, { kind: Service, name: b, group: "" }]
  side: server
  subject: [{ header: x-key }]
  plan: { header: x-plan }
  plans:
    - { name: free, limits: [{ requests: 10, per: day, timeZone: UTC }, { requests: 2, per: 1m, algorithm: fixedWindow }] }
    - { name: gold, unlimited: true }
  defaultPlan: free
  mode: shadow
  store: { redis: {} }
  onStoreFailure: local
  status: 429
---
apiVersion: inmesh.dev/v1alpha1
kind: QuotaPolicy
metadata: { name: by-claim }
spec:
  targetRefs: [{ kind: Service, name: dns }]
  subject: [{ claim: sub }]
  plan: { claim: [app, plan] }
  plans: [{ name: free, limits: [{ requests: 10, per: month }] }, { name: gold, unlimited: true }]
  defaultPlan: free
---
apiVersion: inmesh.dev/v1alpha1
kind: FaultPolicy
metadata: { name: a }
spec:
  targetRefs: [{ kind: HTTPRoute, name: a, sectionName: shared }]
  delay: { fixedDelay: 5s, percentage: 10 }
  abort: { httpStatus: 503, percentage: 0.5 }
  reset: { percentage: 0.0001 }
  throttle: { bytesPerSecond: 2048 }
  truncate: { afterBytes: 10, percentage: 0 }
  headers: [{ name: x-chaos, type: Prefix, value: "on" }]
  maxActiveFaults: 5
---
apiVersion: inmesh.dev/v1alpha1
kind: FaultPolicy
metadata: { name: by-header }
spec:
  targetRefs: [{ kind: Service, name: a }]
  side: server
  delay: { headerDelay: {} }
  abort: { headerAbort: {}, percentage: 50 }
---
apiVersion: inmesh.dev/v1alpha1
kind: FaultPolicy
metadata: { name: experiment }
spec:
  targetRefs: [{ kind: Service, name: b }]
  delay: { normal: { mean: 100ms, deviation: 20ms, max: 1s }, percentage: 50 }
  abort: { grpcStatus: UNAVAILABLE, percentage: 1 }
  throttle: { bytesPerSecond: 1000 }
  experiment:
    run: "2"
    duration: 10m
    guards:
      - { successRate: { minimum: 95, window: 30s, minimumRequests: 50 } }
      - { latency: { percentile: 99, maximum: 2s } }
---
apiVersion: inmesh.dev/v1alpha1
kind: FaultPolicy
metadata: { name: slow, namespace: other }
spec: { targetRefs: [{ kind: Service, name: b }], delay: { uniform: { min: 10ms, max: 20ms } }, throttle: { headerLimit: {} } }
---
apiVersion: inmesh.dev/v1alpha1
kind: FaultPolicy
metadata: { name: slower, namespace: other }
spec: { targetRefs: [{ kind: Service, name: b }], delay: { exponential: { mean: 10ms, max: 1s } }, throttle: { bytesPerSecond: 1000 } }
`;
