#include "registry/client/http_obstacle.h"

namespace sluice {
namespace {

constexpr char kPayload[] = "sluice.http.obstacle";

}  // namespace

absl::Status NetworkError(HttpObstacle obstacle, absl::string_view text) {
  absl::Status status = absl::UnavailableError(text);
  const auto payload = static_cast<char>(obstacle);
  status.SetPayload(kPayload, absl::Cord(absl::string_view(&payload, 1)));
  return status;
}

bool IsNetworkError(const absl::Status& status) { return status.GetPayload(kPayload).has_value(); }

HttpObstacle ObstacleOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value() || payload->empty()) return HttpObstacle::kOther;
  return static_cast<HttpObstacle>((*payload)[0]);
}

}  // namespace sluice
