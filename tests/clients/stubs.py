"""Python stubs, generated from the .proto files on import; a real client generates them once."""

import importlib
import pathlib
import sys
import tempfile

from grpc_tools import protoc

PROTOS = pathlib.Path(__file__).resolve().parents[2] / "proto"


def _generated():
    folder = tempfile.mkdtemp()
    files = [str(path) for path in PROTOS.glob("portrait/v1/*.proto")]
    includes = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTOS}", f"-I{includes}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(arguments + files) != 0:
        sys.exit("the stubs cannot be generated")
    sys.path.insert(0, folder)
    names = ["event_pb2", "ingest_pb2", "ingest_pb2_grpc", "query_pb2", "query_pb2_grpc"]
    return [importlib.import_module(f"portrait.v1.{name}") for name in names]


event_pb2, ingest_pb2, ingest_grpc, query_pb2, query_grpc = _generated()
