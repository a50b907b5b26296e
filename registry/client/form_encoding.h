// application/x-www-form-urlencoded: the form of queries and of token requests.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sluice {

// "service=registry&scope=repository%3Aa%2Fb%3Apull"
std::string FormEncode(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace sluice
