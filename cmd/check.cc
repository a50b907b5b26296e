#include "cmd/check.h"

#include "registry/platform.h"
#include "registry/reference.h"

namespace sluice {

CLI::Validator IsGiven() {
  return CLI::Validator([](std::string& text) { return std::string(text.empty() ? "is empty" : ""); }, "");
}

CLI::Validator IsReference() {
  return CLI::Validator([](std::string& text) { return std::string(ParseReference(text).status().message()); }, "");
}

CLI::Validator IsPlatform() {
  return CLI::Validator([](std::string& text) { return std::string(ParsePlatform(text).status().message()); }, "");
}

}  // namespace sluice
