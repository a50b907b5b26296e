"""One fuzz target: as an ordinary test over its corpus, and as a program of libFuzzer."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

def fuzz_target(name, deps, tags = []):
    """NAME.cc as the test NAME_replay and the program NAME_fuzzer.

    The test gives the target each file of corpus/NAME once and needs no compiler but the usual one. The program is built
    by scripts/fuzz.sh alone, since only clang has libFuzzer.
    """
    cc_library(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        deps = deps + [":fuzzing"],
        alwayslink = True,
    )
    cc_test(
        name = name + "_replay",
        size = "small",
        args = ["tests/fuzz/corpus/" + name],
        data = native.glob(["corpus/" + name + "/**"]),
        tags = tags,
        deps = [
            ":" + name,
            ":replay",
        ],
    )
    cc_binary(
        name = name + "_fuzzer",
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [
            ":" + name,
            ":stop_at_failure",
        ],
    )
