/** A namespace that permits one of its Services to routes and fallbacks of another, and nothing else. */
export const grants = `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: web }
spec: { endpoints: ["10.0.0.1:9001"] }
---
apiVersion: v1
kind: Service
metadata: { name: stock, namespace: warehouse }
spec: { endpoints: ["10.0.1.1:9001"] }
---
apiVersion: v1
kind: Service
metadata: { name: prices, namespace: warehouse }
spec: { endpoints: ["10.0.1.2:9001"] }
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: { name: web, namespace: warehouse }
spec:
  from:
    - { group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web }
    - { group: inmesh.dev, kind: TrafficPolicy, namespace: web }
  to: [{ group: "", kind: Service, name: stock }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop, namespace: web }
spec:
  parentRefs: [{ kind: Service, group: "", name: shop }]
  rules:
    - matches: [{ path: { value: /stock } }]
      backendRefs: [{ name: stock, namespace: warehouse }]
      filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: prices, namespace: warehouse } } }]
    - matches: [{ path: { value: /prices } }]
      backendRefs: [{ name: prices, namespace: warehouse }]
    - matches: [{ path: { value: /both } }]
      backendRefs: [{ name: stock, namespace: warehouse }, { name: prices, namespace: warehouse }]
    - backendRefs: [{ name: shop }]
      filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: stock, namespace: warehouse } } }]
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: shop, namespace: web }
spec:
  targetRefs: [{ name: shop }]
  fallback:
    - { service: { name: prices, namespace: warehouse } }
    - { service: { name: stock, namespace: warehouse } }
`;
