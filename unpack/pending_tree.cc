#include "unpack/pending_tree.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

// What a directory takes beside its name: the struct, its place in the parent's map, the allocator's overhead.
constexpr size_t kDirectoryBytes = sizeof(PendingDirectory) + 112;

// Cuts the first component off.
absl::string_view NextComponent(absl::string_view& path) {
  const size_t slash = path.find('/');
  const absl::string_view component = path.substr(0, slash);
  path.remove_prefix(slash == absl::string_view::npos ? path.size() : slash + 1);
  return component;
}

// All below `top`, every directory before those in it.
std::vector<PendingDirectory*> Below(PendingDirectory& top) {
  std::vector<PendingDirectory*> all;
  std::vector<PendingDirectory*> stack = {&top};
  while (!stack.empty()) {
    PendingDirectory* const directory = stack.back();
    stack.pop_back();
    if (directory != &top) all.push_back(directory);
    auto& children = directory->children;
    for (auto it = children.rbegin(); it != children.rend(); ++it) stack.push_back(it->second.get());
  }
  return all;
}

// std::map looks up by what compares with its keys; absl::string_view does not.
std::string Key(absl::string_view name) { return std::string(name); }

}  // namespace

std::string PendingDirectory::Path() const {
  std::vector<const PendingDirectory*> chain;
  for (const PendingDirectory* at = this; at->parent != nullptr; at = at->parent) chain.push_back(at);
  std::string path;
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    if (!path.empty()) path += '/';
    path += (*it)->name;
  }
  return path;
}

void PendingDirectory::SortWhiteouts() {
  sorted_whiteouts.clear();
  for (absl::string_view rest = whiteouts; !rest.empty();) {
    const size_t end = rest.find('\0');
    sorted_whiteouts.push_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  std::sort(sorted_whiteouts.begin(), sorted_whiteouts.end());
  sorted_whiteouts.erase(std::unique(sorted_whiteouts.begin(), sorted_whiteouts.end()), sorted_whiteouts.end());
}

bool PendingDirectory::Hides(absl::string_view child) const {
  return opaque || std::binary_search(sorted_whiteouts.begin(), sorted_whiteouts.end(), child);
}

PendingTree::PendingTree(MemoryBudget& budget) : budget_(budget) { root_.placed = true; }

absl::StatusOr<PendingDirectory*> PendingTree::Ensure(absl::string_view path) {
  PendingDirectory* at = &root_;
  while (!path.empty()) {
    const absl::string_view name = NextComponent(path);
    std::unique_ptr<PendingDirectory>& child = at->children[Key(name)];
    if (child == nullptr) {
      child = std::make_unique<PendingDirectory>();
      child->parent = at;
      child->name = std::string(name);
      RETURN_IF_ERROR(budget_.Take(kDirectoryBytes + 2 * name.size()));
    }
    at = child.get();
  }
  return at;
}

PendingDirectory* PendingTree::Find(absl::string_view path) {
  PendingDirectory* at = &root_;
  while (!path.empty()) {
    const auto child = at->children.find(Key(NextComponent(path)));
    if (child == at->children.end()) return nullptr;
    at = child->second.get();
  }
  return at;
}

void PendingTree::Forget(absl::string_view path) {
  PendingDirectory* const directory = Find(path);
  if (directory == nullptr) return;
  directory->implied = false;
  directory->opaque = false;
  directory->whiteouts.clear();
  for (PendingDirectory* const below : Below(*directory)) {
    below->implied = false;
    below->placed = true;
  }
  for (auto& [name, child] : directory->children) forgotten_.push_back(std::move(child));
  directory->children.clear();
}

absl::Status PendingTree::AddWhiteout(absl::string_view directory, absl::string_view name) {
  ASSIGN_OR_RETURN(PendingDirectory* const pending, Ensure(directory));
  RETURN_IF_ERROR(budget_.Take(name.size() + 1 + sizeof(absl::string_view)));
  pending->whiteouts.append(name.data(), name.size());
  pending->whiteouts += '\0';
  return absl::OkStatus();
}

std::vector<PendingDirectory*> PendingTree::All() { return Below(root_); }

bool PendingTree::IsSettled() {
  const auto is_settled = [](const PendingDirectory& directory) {
    return !directory.implied && !directory.opaque && !directory.left_by_dotdot && directory.whiteouts.empty();
  };
  const std::vector<PendingDirectory*> all = All();
  return is_settled(root_) &&
         std::all_of(all.begin(), all.end(), [&](const PendingDirectory* directory) { return is_settled(*directory); });
}

void PendingTree::SortWhiteouts() {
  root_.SortWhiteouts();
  for (PendingDirectory* const directory : All()) directory->SortWhiteouts();
}

void PendingTree::SetImplied(PendingDirectory& directory) {
  directory.implied = true;
  any_implied_ = true;
}

}  // namespace sluice
