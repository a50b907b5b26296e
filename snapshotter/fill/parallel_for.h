// A loop whose passes wait for somebody else, run on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace sluice {

// Calls `work(i)` once for each i below `count`, begun in ascending order, by at most `threads` threads, of which the
// caller is one. Returns when all calls have. After a call that returned false none is begun. `work` must not throw.
template <typename Work>
void ParallelFor(size_t count, size_t threads, const Work& work) {
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      if (!work(i)) next.store(count);
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(count, threads); ++i) others.emplace_back(run);
  run();
  for (std::thread& other : others) other.join();
}

}  // namespace sluice
