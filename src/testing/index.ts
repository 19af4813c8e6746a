export { seededRandom } from '../core/random.js';
export { connectionLost, connectionRefused } from './failures.js';
export { FakeClock, settle } from './fake-clock.js';
export { GrpcFailure, type GrpcMethod, type GrpcMethodHandler, grpcService } from './grpc-service.js';
export type { TestHandler, TestRequest } from './memory-transport.js';
export { type MockService, type MockStep, mockService } from './mock-service.js';
export { mockReply, type ReplyInit, replyOf } from './reply.js';
export { type TestMesh, type TestMeshOptions, testMesh } from './test-mesh.js';
