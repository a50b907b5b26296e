// Under libFuzzer a failed expectation must end the program: that is how it learns of a finding and keeps the input.
#include <cstdlib>
#include <memory>

#include "gtest/gtest.h"

namespace {

// After GoogleTest's own listener, which says what failed.
class Stopper : public ::testing::EmptyTestEventListener {
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (result.failed()) std::abort();
  }
};

}  // namespace

// Called by libFuzzer before the first input.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  ::testing::InitGoogleTest(argc, *argv);
  ::testing::UnitTest::GetInstance()->listeners().Append(new Stopper);  // which owns it
  return 0;
}
