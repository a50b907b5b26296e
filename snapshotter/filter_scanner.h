// The words of one filter expression (see filter.h for the grammar).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Borrows the text. White space is allowed before a word, not after the last one, as in containerd. One thread at a
// time; after an error the scanner is of no more use. Errors: InvalidArgument with the position.
class FilterScanner {
 public:
  explicit FilterScanner(absl::string_view text) : text_(text) {}

  bool AtEnd() const { return position_ == text_.size(); }
  // The next byte, NUL at the end; Skip() passes it.
  char Peek() const { return AtEnd() ? '\0' : text_[position_]; }
  void Skip() { ++position_; }

  absl::StatusOr<std::string> Field();
  absl::StatusOr<std::string> Operator();
  absl::StatusOr<std::string> Value(bool alternative_quotes);

  absl::Status Error(absl::string_view cause) const;

 private:
  void SkipSpace();
  bool AtQuote() const;
  absl::StatusOr<std::string> Quoted(bool alternative_quotes);
  absl::Status Escape(char quote, std::string& out);
  absl::StatusOr<uint32_t> Digits(int base, int count);

  absl::string_view text_;
  size_t position_ = 0;
};

}  // namespace sluice
