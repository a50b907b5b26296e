#include "unpack/hard_links.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_maker.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

// A chain of links to links in the archive's order, or against it, takes one round; every turn in it takes another.
constexpr int kMaxRounds = 64;

// Keeps the others in their order.
void Drop(const std::vector<bool>& dropped, std::vector<PendingLink>& links) {
  size_t kept = 0;
  for (size_t i = 0; i < links.size(); ++i) {
    if (dropped[i]) continue;
    if (kept != i) links[kept] = std::move(links[i]);
    ++kept;
  }
  links.resize(kept);
}

void KeepLastOfEachPath(std::vector<PendingLink>& links) {
  absl::flat_hash_set<absl::string_view> seen;
  std::vector<bool> superseded(links.size(), false);
  for (size_t i = links.size(); i > 0; --i) superseded[i - 1] = !seen.insert(links[i - 1].path).second;
  seen.clear();
  Drop(superseded, links);
}

// Whether the link still has its place: something written later may have taken it, or its directory.
absl::StatusOr<bool> HasPlace(LayerTree& tree, const PendingLink& link) {
  ASSIGN_OR_RETURN(const bool has_directory, tree.IsDirectory(SplitPath(link.path).first));
  if (!has_directory) return false;
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, tree.Stat(link.path, attributes));
  return !exists;
}

absl::Status MakeIfFound(LayerTree& tree, const PendingLink& link, LinkTargetFinder find,
                         const absl::flat_hash_set<absl::string_view>& pending, bool& done) {
  ASSIGN_OR_RETURN(const std::optional<std::string> target, find(link, pending));
  done = target.has_value();
  if (!done) return absl::OkStatus();
  return MakeHardLink(tree, link.path, *target, link.metadata);
}

}  // namespace

absl::Status DropReplacedLinks(LayerTree& tree) {
  std::vector<PendingLink>& links = tree.links();
  KeepLastOfEachPath(links);
  std::vector<bool> replaced(links.size(), false);
  for (size_t i = 0; i < links.size(); ++i) {
    ASSIGN_OR_RETURN(const bool has_place, HasPlace(tree, links[i]));
    replaced[i] = !has_place;
  }
  Drop(replaced, links);
  return absl::OkStatus();
}

absl::Status MakePendingLinks(LayerTree& tree, LinkTargetFinder find) {
  std::vector<PendingLink>& links = tree.links();
  absl::flat_hash_set<absl::string_view> pending;
  for (const PendingLink& link : links) pending.insert(link.path);
  std::vector<bool> done(links.size(), false);
  size_t left = links.size();
  for (int round = 0; left > 0; ++round) {
    const size_t left_before = left;
    for (size_t i = 0; i < links.size(); ++i) {
      const size_t at = round % 2 == 0 ? i : links.size() - 1 - i;
      if (done[at]) continue;
      bool made = false;
      RETURN_IF_ERROR(Annotate(MakeIfFound(tree, links[at], find, pending, made),
                               absl::StrCat("entry ", PrintableName(links[at].path))));
      if (!made) continue;
      done[at] = true;
      pending.erase(links[at].path);
      --left;
    }
    if (left == left_before) break;
    if (round == kMaxRounds) return absl::InvalidArgumentError("hard links to hard links form too long a chain");
  }
  pending.clear();
  Drop(done, links);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> FindLinkTargetInLayer(LayerTree& tree, const PendingLink& link) {
  const auto [directory, base] = SplitPath(link.target);
  ASSIGN_OR_RETURN(const std::string real_directory, tree.Resolve(directory));
  std::string path = JoinPath(real_directory, base);
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, tree.Stat(path, attributes));
  if (!exists) return std::nullopt;
  if (S_ISDIR(attributes.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("a hard link to the directory ", PrintableName(link.target)));
  }
  return path;
}

}  // namespace sluice
