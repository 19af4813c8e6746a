"""A server that is configured over xDS (gRFC A36) and answers every method. Its port is its argument."""

import sys
from concurrent import futures

import grpc


class Everything(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"ok")


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), handlers=[Everything()], xds=True)
server.add_secure_port(
    f"127.0.0.1:{sys.argv[1]}",
    grpc.xds_server_credentials(grpc.insecure_server_credentials()),
)
server.start()
print("started", flush=True)
sys.stdin.read()
server.stop(None).wait()
