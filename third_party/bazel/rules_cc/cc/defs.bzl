"""Stands in for @rules_cc in the offline build: names for Bazel's native rules, so that BUILD files need no change
where the real one is used."""

cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
