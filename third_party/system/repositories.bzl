"""Every system library and tool that Sluice uses: name, pkg-config modules, Debian package.

A new one is added here and in scripts/install-deps.sh.
"""

load("//third_party/system:pkg_config.bzl", "pkg_config_repository", "system_tool_repository")

_LIBRARIES = {
    "absl": (
        [
            "absl_" + part
            for part in [
                "base",
                "btree",
                "cleanup",
                "flat_hash_map",
                "flat_hash_set",
                "function_ref",
                "span",
                "status",
                "statusor",
                "str_format",
                "strings",
                "time",
            ]
        ],
        "",
        "libabsl-dev",
    ),
    "cli11": (["CLI11"], "", "libcli11-dev"),
    "curl": (["libcurl"], "", "libcurl4-openssl-dev"),
    "ext2fs": (["ext2fs", "com_err"], "", "libext2fs-dev"),
    "glog": (["libglog"], "", "libgoogle-glog-dev"),
    "gmock": (["gmock"], "", "libgmock-dev"),
    "grpc": (["grpc++", "protobuf"], "/usr/include/grpcpp/grpcpp.h", "libgrpc++-dev libprotobuf-dev"),
    "gtest": (["gtest"], "", "libgtest-dev"),
    "gtest_main": (["gtest_main"], "", "libgtest-dev"),
    "isal": (["libisal"], "", "libisal-dev"),
    "json": (["nlohmann_json"], "", "nlohmann-json3-dev"),
    "libarchive": (["libarchive"], "", "libarchive-dev"),
    "openssl": (["libcrypto"], "", "libssl-dev"),
    "prometheus_cpp": (["prometheus-cpp-pull", "prometheus-cpp-core"], "", "prometheus-cpp-dev"),
    "protobuf": (["protobuf"], "", "libprotobuf-dev"),
    "openssl_tls": (["libssl"], "", "libssl-dev"),
    "re2": (["re2"], "", "libre2-dev"),
    "sqlite": (["sqlite3"], "", "libsqlite3-dev"),
    "tomlplusplus": (["tomlplusplus"], "", "libtomlplusplus-dev"),
    "zlib": (["zlib"], "", "zlib1g-dev"),
    "zstd": (["libzstd"], "", "libzstd-dev"),
}

_TOOLS = {
    "grpc_cpp_plugin": "protobuf-compiler-grpc",
    "protoc": "protobuf-compiler",
}

def system_repositories():
    """Declares them all; called once, by WORKSPACE."""
    for name, (modules, header, apt) in _LIBRARIES.items():
        pkg_config_repository(name = name, modules = modules, header = header, apt = apt)
    for tool, apt in _TOOLS.items():
        system_tool_repository(name = tool, tool = tool, apt = apt)
