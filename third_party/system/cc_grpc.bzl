"""C++ code from a .proto file by the system's protoc and grpc_cpp_plugin."""

load("@rules_cc//cc:defs.bzl", "cc_library")

def cc_grpc_library(name, src, deps = [], visibility = None):
    """Makes the cc_library `name` from one .proto file with messages and, if it has any, services.

    Args:
      name: the target; `name_proto` is the file with those it imports, for protoc.
      src: the .proto file; imports in it are relative to the package that calls this.
      deps: the cc_grpc_library targets of this package that it imports.
      visibility: as usual.
    """
    native.filegroup(
        name = name + "_proto",
        srcs = [src] + [dep + "_proto" for dep in deps],
    )
    stem = src[:-len(".proto")]
    outs = [stem + suffix for suffix in [".pb.h", ".pb.cc", ".grpc.pb.h", ".grpc.pb.cc"]]
    native.genrule(
        name = name + "_generated",
        srcs = [":" + name + "_proto"],
        outs = outs,
        cmd = " ".join([
            "$(location @protoc//:protoc)",
            "--plugin=protoc-gen-grpc=$(location @grpc_cpp_plugin//:grpc_cpp_plugin)",
            "-I" + native.package_name(),
            "-I/usr/include",
            "--cpp_out=$(RULEDIR)",
            "--grpc_out=$(RULEDIR)",
            native.package_name() + "/" + src,
        ]),
        tools = [
            "@grpc_cpp_plugin//:grpc_cpp_plugin",
            "@protoc//:protoc",
        ],
    )
    cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        # Generated code is not held to our warnings; as a system include its headers aren't either.
        copts = ["-w"],
        includes = ["."],
        visibility = visibility,
        deps = deps + [
            "@grpc",
            "//third_party/tsan:grpc_hand_over",
        ],
    )
