// Another program, run to its end: without a shell, out of the terminal's reach, and not longer than we live.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"

namespace sluice {

// Where `name` is, by PATH and then /usr/sbin and /sbin, which an ordinary user's PATH has not. NotFound names the
// Debian package that has it.
absl::StatusOr<std::string> FindProgram(const std::string& name, absl::string_view package);

struct ProgramCall {
  std::vector<std::string> argv;                                      // argv[0] is a path, and its last part the name
  std::vector<std::pair<std::string, std::string>> environment = {};  // beside our own
  int directory_fd = -1;                                              // where it runs; -1: where we are
  int output_fd = -1;                                                 // its standard output; -1: thrown away
};

// Runs it with nothing on its standard input, and waits. When cancelled it is
// interrupted, with all that it has started, and killed if it does not end in time; it is interrupted, too, when the
// calling thread ends.
// Errors: Cancelled; else "<name>: the end of what it said", or how it ended.
absl::Status RunProgram(const ProgramCall& call, const Cancellation& cancellation);

}  // namespace sluice
