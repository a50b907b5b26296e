// The version of the whole: both programs, and what registries read in the User-Agent.
#pragma once

namespace sluice {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace sluice
