// The daemon's status as `sluicectl status` shows it.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "registry/json.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {

namespace admin_v1 = sluice::v1;

// `now` is the moment of the status: rates and times left are counted with it.
Json StatusJson(const admin_v1::StatusResponse& status, absl::Time now);

// Lines for people. Text from outside is escaped.
std::string StatusText(const admin_v1::StatusResponse& status, absl::Time now);

}  // namespace sluice
