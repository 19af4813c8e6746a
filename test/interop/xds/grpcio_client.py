# A client that is not ours: Python grpcio, which is gRPC's C core. Takes one JSON command a line on stdin, answers with one on stdout.
import json
import sys

import grpc

channels = {}


def call(target, metadata):
    if target not in channels:
        channels[target] = grpc.insecure_channel(target)
    get = channels[target].unary_unary(
        "/test.Reviews/Get",
        request_serializer=lambda value: value,
        response_deserializer=lambda value: value.decode(),
    )
    try:
        return get(b"", timeout=20, wait_for_ready=True, metadata=list((metadata or {}).items()))
    except grpc.RpcError as error:
        return "%d: %s" % (error.code().value[0], error.details())


for line in sys.stdin:
    command = json.loads(line)
    replies = {}
    for _ in range(command["count"]):
        reply = call(command["target"], command.get("metadata"))
        replies[reply] = replies.get(reply, 0) + 1
    print(json.dumps(replies), flush=True)
