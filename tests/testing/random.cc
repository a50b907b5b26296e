#include "tests/testing/random.h"

#include <cstdlib>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice::testing {
namespace {

// 0 if the variable is not set.
uint64_t NumberFromEnvironment(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr) return 0;
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number == 0) {
    std::cerr << name << "=" << text << " is not a positive number" << std::endl;
    std::abort();
  }
  return number;
}

}  // namespace

std::vector<uint64_t> Seeds(size_t count) {
  if (const uint64_t seed = NumberFromEnvironment("SLUICE_SEED"); seed > 0) return {seed};
  if (const uint64_t more = NumberFromEnvironment("SLUICE_SEEDS"); more > 0) count = more;
  std::vector<uint64_t> seeds;
  for (uint64_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  return seeds;
}

std::string SeedTrace(uint64_t seed) { return absl::StrCat("repeat with SLUICE_SEED=", seed); }

}  // namespace sluice::testing
