"""grpc.testing.TestService on grpcio (gRPC C-core). Prints its port; ends when its standard input does."""

import os
import sys
import tempfile
import time
from concurrent import futures

import grpc
from grpc_tools import protoc

HERE = os.path.dirname(os.path.abspath(__file__))
GENERATED = tempfile.mkdtemp()
if protoc.main(["", f"-I{HERE}", f"--python_out={GENERATED}", f"--grpc_python_out={GENERATED}", "test.proto"]) != 0:
    sys.exit("protoc failed")
sys.path.insert(0, GENERATED)
import test_pb2 as pb  # noqa: E402
import test_pb2_grpc as rpc  # noqa: E402

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"


def echo_metadata(context):
    for name, value in context.invocation_metadata():
        if name == INITIAL:
            context.send_initial_metadata(((name, value),))
        if name == TRAILING:
            context.set_trailing_metadata(((name, value),))


def echo_status(request, context):
    if request.HasField("response_status") and request.response_status.code != 0:
        codes = {code.value[0]: code for code in grpc.StatusCode}
        context.abort(codes[request.response_status.code], request.response_status.message)


def payload(size):
    return pb.Payload(body=b"\0" * size)


class TestService(rpc.TestServiceServicer):
    def EmptyCall(self, request, context):
        echo_metadata(context)
        return pb.Empty()

    def UnaryCall(self, request, context):
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
        echo_metadata(context)
        echo_status(request, context)
        return pb.SimpleResponse(payload=payload(request.response_size))

    def StreamingOutputCall(self, request, context):
        if any(each.compressed.value for each in request.response_parameters):
            context.set_compression(grpc.Compression.Gzip)
        for each in request.response_parameters:
            time.sleep(each.interval_us / 1e6)
            if not each.compressed.value:
                context.disable_next_message_compression()
            yield pb.StreamingOutputCallResponse(payload=payload(each.size))

    def StreamingInputCall(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return pb.StreamingInputCallResponse(aggregated_payload_size=size)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            echo_status(request, context)
            for each in request.response_parameters:
                time.sleep(each.interval_us / 1e6)
                yield pb.StreamingOutputCallResponse(payload=payload(each.size))


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
rpc.add_TestServiceServicer_to_server(TestService(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.read()
server.stop(None).wait()
