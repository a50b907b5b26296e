// What a fuzz target is made of. It is a function from bytes to expectations: GoogleTest's EXPECT_…, which replay
// reports as any test does and under which libFuzzer stops and keeps the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::testing {

// libFuzzer's entry; returns 0. One thread at a time. Everything that a call makes is gone when it returns.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Expects what every message of ours must be: one line of printable characters, without a trailing dot, not empty, and
// not as long as its cause likes. An OK status has none.
void ExpectGoodMessage(const absl::Status& status);

// The input as several texts: a NUL byte ends one. At most `most`; the last one takes the rest.
std::vector<std::string> SplitInput(absl::string_view input, size_t most);

}  // namespace sluice::testing

// SLUICE_FUZZ_TARGET(input) { EXPECT_TRUE(…); }, once in a file, in this namespace. `input` is an
// absl::string_view.
#define SLUICE_FUZZ_TARGET(input)                                                \
  static void SluiceFuzzOne(absl::string_view);                                  \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {      \
    SluiceFuzzOne(absl::string_view(reinterpret_cast<const char*>(data), size)); \
    return 0;                                                                    \
  }                                                                              \
  static void SluiceFuzzOne(absl::string_view input)
