"""A client of the inference API, with grpcio and no generated code.

inference.py DESCRIPTORS SOCKET work
inference.py DESCRIPTORS SOCKET as UID refused|user
"""

import os
import struct
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "selvedge.inference.v1"
DEADLINE_S = 60


class Client:
    def __init__(self, descriptors, socket):
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptors)
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.service = self.pool.FindServiceByName(f"{PACKAGE}.Inference")
        # The path of a socket is no authority of HTTP/2.
        options = [("grpc.default_authority", "localhost")]
        self.channel = grpc.insecure_channel(f"unix:{socket}", options)

    def message(self, name):
        return message_factory.GetMessageClass(
            self.pool.FindMessageTypeByName(f"{PACKAGE}.{name}")
        )

    def call(self, method, request, **more):
        described = self.service.methods_by_name[method]
        answer = message_factory.GetMessageClass(described.output_type)
        streams = described.client_streaming
        make = self.channel.stream_stream if streams else self.channel.unary_unary
        call = make(
            f"/{PACKAGE}.Inference/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return call(request, timeout=DEADLINE_S, **more)

    def refused(self, method, request):
        try:
            self.call(method, request)
        except grpc.RpcError as error:
            code = dict(error.trailing_metadata() or ()).get("selvedge-code")
            return error.code(), code
        raise AssertionError(f"{method} was not refused")


def predict_of(client, described, value=0.5):
    request = client.message("PredictRequest")(model=described.model)
    for port in described.inputs:
        sizes = [d.fixed if d.WhichOneof("size") == "fixed" else 1 for d in port.dimensions]
        count = 1
        for size in sizes:
            count *= size
        request.inputs.add(
            name=port.name,
            kind=port.kind,
            dimensions=sizes,
            data=struct.pack(f"<{count}f", *([value] * count)),
        )
    return request


def work(client):
    models = client.call("ListModels", client.message("ListModelsRequest")()).models
    assert [model.model for model in models] == ["press"], models
    described = client.call("DescribeModel", client.message("DescribeModelRequest")(model="press"))
    request = predict_of(client, described)
    answer = client.call("Predict", request)
    assert answer.digest == described.digest
    assert len(answer.outputs) == len(described.outputs)

    ask = client.message("StreamPredictRequest")
    stream = (ask(id=number, request=request) for number in range(1000))
    numbers = []
    for streamed in client.call("StreamPredict", stream):
        assert streamed.response.outputs == answer.outputs, streamed
        numbers.append(streamed.id)
    assert numbers == list(range(1000))

    request.inputs[0].data = b"abc"
    refused = client.refused("Predict", request)
    assert refused == (grpc.StatusCode.INVALID_ARGUMENT, "tensor-invalid"), refused
    refused = client.refused("Predict", client.message("PredictRequest")(model="other"))
    assert refused == (grpc.StatusCode.NOT_FOUND, "model-not-found"), refused
    stats = client.call("GetModelStats", client.message("GetModelStatsRequest")(model="press"))
    assert stats.runs_total >= 1001, stats

    captured = client.call(
        "CaptureData",
        client.message("CaptureDataRequest")(model="press", outputs=answer.outputs),
    )
    assert captured.capture_id
    ask = client.message("GetCaptureDataStatusRequest")(capture_id=captured.capture_id)
    status = client.call("GetCaptureDataStatus", ask).status
    assert status in (1, 2), status
    load = client.message("LoadModelRequest")(
        model="own", reference="registry.example/a/b:1@sha256:" + "0" * 64
    )
    refused = client.refused("LoadModel", load)
    assert refused == (grpc.StatusCode.NOT_FOUND, "artifact-missing"), refused
    unload = client.message("UnloadModelRequest")(model="press")
    refused = client.refused("UnloadModel", unload)
    assert refused == (grpc.StatusCode.FAILED_PRECONDITION, "model-of-deployment"), refused
    print("worked")


def someone(client, what):
    described = client.message("DescribeModelRequest")(model="press")
    unload = client.message("UnloadModelRequest")(model="press")
    denied = (grpc.StatusCode.PERMISSION_DENIED, "not-allowed")
    assert client.refused("UnloadModel", unload) == denied
    if what == "refused":
        assert client.refused("DescribeModel", described) == denied
        assert client.refused("Predict", client.message("PredictRequest")(model="press")) == denied
        print("refused")
    else:
        model = client.call("DescribeModel", described)
        client.call("Predict", predict_of(client, model))
        print("may run")


def main():
    descriptors, socket, what, *more = sys.argv[1:]
    with open(descriptors, "rb") as file:
        descriptors = file.read()
    if what == "as":
        uid, what = more
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    client = Client(descriptors, socket)
    work(client) if what == "work" else someone(client, what)


main()
