#include "registry/client/endpoint_rounds.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "registry/client/retry_policy.h"

namespace sluice {
namespace {

// Asked again at the earliest time at which anyone may have got better.
absl::Status Joined(const std::vector<absl::Status>& failures) {
  if (failures.size() == 1) return failures.front();
  std::string text;
  std::optional<std::chrono::milliseconds> retry_after;
  for (const absl::Status& failure : failures) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", failure.message());
    if (!IsTransient(failure)) continue;
    retry_after = std::min(retry_after.value_or(RetryAfterOf(failure)), RetryAfterOf(failure));
  }
  absl::Status joined(failures.back().code(), text);
  failures.back().ForEachPayload(
      [&joined](absl::string_view url, const absl::Cord& payload) { joined.SetPayload(url, payload); });
  return retry_after.has_value() ? MarkTransient(joined, retry_after) : joined;
}

}  // namespace

absl::Status AskInTurn(const std::vector<EndpointSchemes>& endpoints, size_t first,
                       absl::FunctionRef<absl::Status(size_t index)> ask) {
  std::vector<absl::Status> failures(endpoints.size());
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const size_t index = (first + i) % endpoints.size();
    failures[index] = ask(index);
    if (failures[index].ok() || absl::IsCancelled(failures[index])) return failures[index];
  }
  return Joined(failures);
}

}  // namespace sluice
