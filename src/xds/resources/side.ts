/** Who a resource is for: what a client understands a server may not, and the other way round (gRFC A39). */
export type Side = 'client' | 'server';
