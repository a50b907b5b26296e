// RETURN_IF_ERROR and ASSIGN_OR_RETURN: the early return for absl::Status. Debian's absl (20220623) has none.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

// `status` with "context: " before its message; code and payloads stay. An OK status stays OK.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&annotated](absl::string_view url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

}  // namespace sluice

#define SLUICE_CONCAT_INNER(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(Write(...));
#define RETURN_IF_ERROR(expression)                                                           \
  do {                                                                                        \
    if (absl::Status sluice_status = (expression); !sluice_status.ok()) return sluice_status; \
  } while (false)

// ASSIGN_OR_RETURN(UniqueFd fd, Open(...));
#define ASSIGN_OR_RETURN(declaration, expression) \
  SLUICE_ASSIGN_OR_RETURN(SLUICE_CONCAT(sluice_status_or_, __LINE__), declaration, expression)

#define SLUICE_ASSIGN_OR_RETURN(status_or, declaration, expression) \
  auto status_or = (expression);                                    \
  if (!status_or.ok()) return std::move(status_or).status();        \
  declaration = *std::move(status_or)
