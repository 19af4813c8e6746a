# Python grpcio, gRPC's C core. One JSON list of calls on stdin; the list of their outcomes on stdout.
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

channels = {}
lock = threading.Lock()


def channel(target):
    with lock:
        if target not in channels:
            channels[target] = grpc.insecure_channel("xds:///" + target)
        return channels[target]


def call(indexed):
    index, planned = indexed
    method = channel(planned["target"]).unary_unary(
        planned["path"],
        request_serializer=lambda value: value,
        response_deserializer=lambda value: value.decode(),
    )
    metadata = [(name, value.encode() if name.endswith("-bin") else value) for name, value in planned["metadata"]] + [("x-call-id", "py-%d" % index)]
    try:
        return method(b"", timeout=planned["timeoutMs"] / 1000.0, metadata=metadata)
    except grpc.RpcError as error:
        return "status %d" % error.code().value[0]


print(json.dumps({"version": grpc.__version__}), flush=True)
for line in sys.stdin:
    with ThreadPoolExecutor(max_workers=64) as pool:
        print(json.dumps(list(pool.map(call, enumerate(json.loads(line))))), flush=True)
