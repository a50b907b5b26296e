#include "snapshotter/fill/parallel_for.h"

#include <atomic>
#include <latch>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(ParallelForTest, CallsEachOnce) {
  for (size_t count : {0, 1, 3, 100}) {
    std::vector<std::atomic<int>> calls(count);
    ParallelFor(count, 4, [&](size_t i) { return ++calls[i] > 0; });
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(calls[i], 1) << i << " of " << count;
  }
}

TEST(ParallelForTest, CallsRunAtTheSameTime) {
  std::latch all_there(4);
  ParallelFor(4, 4, [&](size_t) {
    all_there.arrive_and_wait();
    return true;
  });
}

TEST(ParallelForTest, BeginsNoneAfterAFailure) {
  std::vector<size_t> calls;
  ParallelFor(100, 1, [&](size_t i) {
    calls.push_back(i);
    return i < 2;
  });
  EXPECT_EQ(calls, (std::vector<size_t>{0, 1, 2}));
}

}  // namespace
}  // namespace sluice
