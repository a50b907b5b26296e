#include "cmd/messages.h"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice {
namespace {

void WriteToStderr(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::string OnOneLine(absl::string_view text) {
  std::string line;
  for (const char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&line, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      line += c;
    }
  }
  return line;
}

void Messages::Error(absl::string_view text, int exit_code) const {
  Line(absl::StrCat("sluicectl: ", text));
  Event("error", {{"message", std::string(text)}, {"exitCode", exit_code}});
}

void Messages::Warning(absl::string_view text) const {
  Line(absl::StrCat("sluicectl: WARNING: ", text));
  Event("warning", {{"message", std::string(text)}});
}

void Messages::Line(absl::string_view text) const {
  if (form_ == Form::kLines) WriteToStderr(OnOneLine(text) + "\n");
}

void Messages::Event(absl::string_view event, Json members) const {
  if (form_ != Form::kJson) return;
  members["schema"] = 1;
  members["event"] = std::string(event);
  WriteToStderr(members.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n");
}

}  // namespace sluice
