// What is shown to a person, or to the log that stands in for one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "registry/json.h"

namespace sluice {

// "12.3 MB"; powers of 1000, as layer sizes are given everywhere.
std::string FormatBytes(int64_t bytes);

// The result of a verb, to stdout. Errors: what write gives (a full disk, a closed pipe).
absl::Status PrintResult(absl::string_view text);
absl::Status PrintJson(const Json& document);

// Whether stderr is a terminal that can redraw a line.
bool StderrIsTerminal();

// How far a long work is: a bar on stderr that redraws itself. One thread at a time, which need not be the one that
// made it.
class ProgressBar {
 public:
  // `total_bytes` is what will have been added in the end.
  explicit ProgressBar(int64_t total_bytes);
  // Takes the bar away.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Add(int64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  double Part() const;
  void Draw(Clock::time_point now) const;

  const int64_t total_;
  const Clock::time_point start_ = Clock::now();
  int64_t done_ = 0;
  Clock::time_point drawn_at_;
  int drawn_percent_ = 0;
};

}  // namespace sluice
