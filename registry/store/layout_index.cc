#include "registry/store/layout_index.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "registry/store/reread.h"
#include "registry/store/store_file.h"

namespace sluice {
namespace {

// image-spec annotations.md.
constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr char kContainerdName[] = "io.containerd.image.name";

std::string Annotation(const Descriptor& descriptor, const char* name) {
  const auto found = descriptor.annotations.find(name);
  return found == descriptor.annotations.end() ? "" : found->second;
}

absl::StatusOr<Index> ReadOnce(const std::string& root, const std::string& place) {
  const std::string path = absl::StrCat(root, "/", place);
  ASSIGN_OR_RETURN(StoreFile file, OpenStoreFile(root, place));
  ASSIGN_OR_RETURN(const std::string content, ReadStoreFile(std::move(file), kMaxIndexBytes, path));
  absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(content);
  if (!parsed.ok()) return Annotate(parsed.status(), path);
  if (!std::holds_alternative<Index>(*parsed)) return absl::InvalidArgumentError(absl::StrCat(path, ": not an index"));
  return std::get<Index>(*std::move(parsed));
}

}  // namespace

absl::StatusOr<Index> ReadLayoutIndex(const std::string& root, absl::string_view place) {
  const std::string file = absl::StrCat(place, place.empty() ? "" : "/", "index.json");
  return Reread([&] { return ReadOnce(root, file); });
}

std::string RefName(const Descriptor& descriptor) { return Annotation(descriptor, kRefName); }

std::string ContainerdName(const Descriptor& descriptor) { return Annotation(descriptor, kContainerdName); }

std::string NamesIn(const Index& index) {
  constexpr size_t kMost = 8;
  std::vector<std::string> names;
  for (const Descriptor& descriptor : index.manifests) {
    const std::string full = ContainerdName(descriptor);
    const std::string name = full.empty() ? RefName(descriptor) : full;
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    if (names.size() > kMost) break;
  }
  if (names.empty()) return "it names no image";
  if (names.size() <= kMost) return absl::StrCat("it has ", absl::StrJoin(names, ", "));
  names.pop_back();
  return absl::StrCat("it has ", absl::StrJoin(names, ", "), " and more");
}

}  // namespace sluice
