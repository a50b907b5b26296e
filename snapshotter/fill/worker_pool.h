// A fixed number of threads and a queue of calls.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace sluice {

// What a configuration means by `configured` workers: 0 is as many as there are cores.
int WorkerCount(int configured);

// Thread-safe.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  // Runs what is still queued, then returns.
  ~WorkerPool();

  // `task` must not throw.
  void Submit(std::function<void()> task);

  // How many wait for a thread.
  size_t queued() const;

 private:
  void Work();

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ SLUICE_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> queue_ SLUICE_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace sluice
