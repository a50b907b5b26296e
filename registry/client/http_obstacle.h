// What stood between a request and the whole of its answer.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Where that decides what to try next.
enum class HttpObstacle {
  kOther,
  kRefused,      // nobody listens
  kNotTls,       // an answer to https that is no TLS
  kNotHttp,      // an answer to http that is no HTTP
  kNoAnswer,     // closed or reset before the first byte of an answer
  kInterrupted,  // the same in the middle of it
  kStalled,
};

// Unavailable, `text`, because of `obstacle`; Annotate keeps that.
absl::Status NetworkError(HttpObstacle obstacle, absl::string_view text);
bool IsNetworkError(const absl::Status& status);
// kOther if it is no NetworkError.
HttpObstacle ObstacleOf(const absl::Status& status);

}  // namespace sluice
