/** Everybody who calls `reviews` asks for three retries: without a budget it would get four times its load. */
export const RETRIED_ROUTE = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules:
    - backendRefs: [{ name: reviews, port: 80 }]
      retry: { attempts: 3, codes: [503], backoff: 25ms }
`;
