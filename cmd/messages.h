// What sluicectl says on stderr: lines for people, or with --progress=json one JSON object a line for programs. Never
// both.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "registry/json.h"

namespace sluice {

// Names of files and images may hold line feeds and what terminals obey: these stand as \xNN.
std::string OnOneLine(absl::string_view text);

// Thread-safe: a line is one write, so lines of several threads or programs never mix. Text from outside is escaped
// where it would not stay one line. An error on stderr itself has nobody to be told to.
class Messages {
 public:
  enum class Form { kLines, kJson };

  explicit Messages(Form form) : form_(form) {}

  bool json() const { return form_ == Form::kJson; }

  // Why it did not work: "sluicectl: <text>", or the event "error" with the exit code.
  void Error(absl::string_view text, int exit_code) const;
  // What went wrong without changing the outcome: "sluicectl: WARNING: <text>", or the event "warning".
  void Warning(absl::string_view text) const;
  // For people only, as it stands.
  void Line(absl::string_view text) const;
  // For programs only: {"schema": 1, "event": `event`, ...`members`}.
  void Event(absl::string_view event, Json members) const;

 private:
  const Form form_;
};

}  // namespace sluice
