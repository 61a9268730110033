"""The generated code that is committed is what the proto file says."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from app.content.containerd import containerd_pb2

_ROOT = Path(__file__).parent.parent


def test_descriptors_match(tmp_path: Path) -> None:
    """The committed module describes the very messages of proto/containerd.proto."""
    out = tmp_path / "descriptors"
    includes = [f"-I{_ROOT / 'proto'}", f"-I{files('grpc_tools') / '_proto'}"]
    assert protoc.main(["protoc", *includes, f"--descriptor_set_out={out}", "containerd.proto"]) == 0
    (from_proto,) = FileDescriptorSet.FromString(out.read_bytes()).file
    committed = FileDescriptorProto()
    containerd_pb2.DESCRIPTOR.CopyToProto(committed)
    for file in (from_proto, committed):
        for message in file.message_type:
            for field in [field for each in (message, *message.nested_type) for field in each.field]:
                field.ClearField("json_name")  # protoc writes it out, the runtime does not
    assert committed == from_proto


def test_generator_gives_what_is_committed(tmp_path: Path) -> None:
    """`proto/generate.sh` makes the committed stub file, so that types and messages can't drift apart."""
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([_ROOT / "proto" / "generate.sh", tmp_path], check=True, env=environment, timeout=60)
    made = (tmp_path / "containerd_pb2.pyi").read_text()
    assert made == (_ROOT / "app" / "content" / "containerd" / "containerd_pb2.pyi").read_text()
