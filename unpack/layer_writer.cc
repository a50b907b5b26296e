#include "unpack/layer_writer.h"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_maker.h"
#include "unpack/entry_name.h"
#include "unpack/hard_links.h"
#include "unpack/whiteout.h"

namespace sluice {
namespace {

absl::Status InEntry(const absl::Status& status, const TarEntry& entry) {
  return Annotate(status, absl::StrCat("entry ", PrintableName(entry.name)));
}

}  // namespace

absl::Status LayerWriter::Write(TarReader& tar) {
  for (;;) {
    ASSIGN_OR_RETURN(TarEntry* const entry, tar.Next());
    if (entry == nullptr) break;
    if (++entries_ > limits_.max_entries) {
      return InEntry(
          absl::InvalidArgumentError(absl::StrCat("more than ", limits_.max_entries, " entries (max_entries)")),
          *entry);
    }
    ASSIGN_OR_RETURN(const std::string path, NormalizeEntryName(entry->name, limits_.max_depth));
    if (absl::Status status = WriteEntry(*entry, path, tar); !status.ok()) return InEntry(status, *entry);
  }
  RETURN_IF_ERROR(DropReplacedLinks(tree_));
  return MakePendingLinks(
      tree_, [this](const PendingLink& link, const auto& /*pending*/) { return FindLinkTargetInLayer(tree_, link); });
}

absl::Status LayerWriter::WriteEntry(TarEntry& entry, absl::string_view path, TarReader& tar) {
  const auto dropped = std::remove_if(entry.metadata.xattrs.begin(), entry.metadata.xattrs.end(),
                                      [](const auto& xattr) { return !IsXattrFromImageKept(xattr.name); });
  entry.metadata.xattrs.erase(dropped, entry.metadata.xattrs.end());

  if (path.empty()) return WriteRoot(entry);
  const auto [directory, base] = SplitPath(path);
  ASSIGN_OR_RETURN(const Whiteout whiteout, ParseWhiteout(base));
  switch (whiteout.kind) {
    case Whiteout::Kind::kName:
      return AddWhiteout(directory, whiteout.name);
    case Whiteout::Kind::kOpaque:
      return AddOpaque(directory);
    case Whiteout::Kind::kMetadata:
      return absl::OkStatus();
    case Whiteout::Kind::kNone:
      break;
  }
  RETURN_IF_ERROR(CheckSize(entry));
  if (entry.type == TarEntry::Type::kCharDevice && entry.device_major == 0 && entry.device_minor == 0) {
    return absl::InvalidArgumentError("a character device 0:0 is overlayfs's own whiteout");
  }
  ASSIGN_OR_RETURN(const std::string parent, tree_.EnsureNamed(directory));
  // The same as `path` unless a symlink of this layer is in it.
  const std::string real_path = JoinPath(parent, base);
  RETURN_IF_ERROR(tree_.LogEntry(real_path));
  if (entry.type == TarEntry::Type::kHardLink) return WriteHardLink(entry, real_path);
  return MakeEntry(tree_, real_path, entry, [&tar] { return tar.ReadBlock(); });
}

absl::Status LayerWriter::WriteRoot(const TarEntry& entry) {
  if (entry.type != TarEntry::Type::kDirectory) return absl::InvalidArgumentError("the root can only be a directory");
  root_metadata_ = entry.metadata;
  return absl::OkStatus();
}

absl::Status LayerWriter::CheckSize(const TarEntry& entry) {
  if (entry.size > limits_.max_unpacked_bytes - unpacked_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("with its ", entry.size, " bytes the layer unpacks to more than ",
                                                   limits_.max_unpacked_bytes, " bytes (max_unpacked_bytes)"));
  }
  unpacked_bytes_ += entry.size;
  return absl::OkStatus();
}

absl::Status LayerWriter::AddWhiteout(absl::string_view directory, absl::string_view name) {
  ASSIGN_OR_RETURN(const std::string path, tree_.Resolve(directory));
  return tree_.pending().AddWhiteout(path, name);
}

absl::Status LayerWriter::AddOpaque(absl::string_view directory) {
  // Unlike a whiteout, the mark says that the directory is there.
  ASSIGN_OR_RETURN(const std::string path, tree_.EnsureNamed(directory));
  ASSIGN_OR_RETURN(PendingDirectory* const pending, tree_.pending().Ensure(path));
  pending->opaque = true;
  return absl::OkStatus();
}

absl::Status LayerWriter::WriteHardLink(const TarEntry& entry, absl::string_view path) {
  ASSIGN_OR_RETURN(const std::string target, NormalizeEntryName(entry.link, limits_.max_depth));
  const auto [directory, base] = SplitPath(target);
  ASSIGN_OR_RETURN(const std::string real_directory, tree_.Resolve(directory));
  const std::string real_target = JoinPath(real_directory, base);
  if (target.empty() || real_target == path) {
    return absl::InvalidArgumentError(absl::StrCat("a hard link to ", target.empty() ? "the root" : "itself"));
  }
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, tree_.Stat(real_target, attributes));
  if (exists && S_ISDIR(attributes.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("a hard link to the directory ", PrintableName(target)));
  }
  if (exists) return MakeHardLink(tree_, path, real_target, entry.metadata);
  RETURN_IF_ERROR(tree_.Remove(path));
  return tree_.AddLink({std::string(path), target, entry.metadata});
}

}  // namespace sluice
