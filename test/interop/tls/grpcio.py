"""gRPC over TLS by grpcio, told what to do line by line: {"op": "serve" | "call", ...} in, one JSON object out for each."""
import json
import sys
from concurrent import futures

import grpc

NAMED = [("grpc.ssl_target_name_override", "web")]
servers = []


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


def serve(order):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((Echo(),))
    pair = (order["key"].encode(), order["cert"].encode())
    credentials = grpc.ssl_server_credentials([pair], order["ca"].encode(), True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    servers.append(server)
    return {"port": port}


def call(order):
    credentials = grpc.ssl_channel_credentials(order["ca"].encode(), order["key"].encode(), order["cert"].encode())
    with grpc.secure_channel("127.0.0.1:%d" % order["port"], credentials, NAMED) as channel:
        try:
            reply = channel.unary_unary("/test.Echo/Echo")(b"hello", timeout=10)
            return {"reply": reply.decode()}
        except grpc.RpcError as error:
            return {"code": error.code().name}


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({"serve": serve, "call": call}[order["op"]](order)), flush=True)
