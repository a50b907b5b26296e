// Random tests that can be repeated: a seed gives the same test every time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace sluice::testing {

// The same numbers for the same seed with every standard library. One thread at a time.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // 0 … limit - 1. REQUIRES: limit > 0.
  size_t Below(size_t limit) { return static_cast<size_t>(engine_() % limit); }
  bool OneIn(size_t count) { return Below(count) == 0; }
  // One of `choices`, which is not empty.
  template <typename Container>
  const auto& Of(const Container& choices) {
    return *(std::begin(choices) + static_cast<std::ptrdiff_t>(Below(std::size(choices))));
  }

 private:
  std::mt19937_64 engine_;
};

// 1 … count; or other ones by the environment: SLUICE_SEED=17 is that one alone, SLUICE_SEEDS=50000 is 1 … 50000.
std::vector<uint64_t> Seeds(size_t count);

// For SCOPED_TRACE: how to repeat what failed.
std::string SeedTrace(uint64_t seed);

}  // namespace sluice::testing
