#include "unpack/tar_export.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"
#include "unpack/index_below.h"
#include "unpack/index_tree.h"
#include "unpack/interruption.h"
#include "unpack/layer_settler.h"
#include "unpack/layer_stream.h"
#include "unpack/layer_unpacking.h"
#include "unpack/tar_reader.h"

namespace sluice {
namespace {

// What the first reading gives: the tree.
class IndexUnpacking {
 public:
  IndexUnpacking(FileIndex& index, const UnpackOptions& options) : options_(options), tree_(index, 0) {}

  absl::Status Add(const LayerSource& source, uint32_t number) {
    const Interruption interruption(options_.cancellation);
    IndexTree layer(tree_.index(), number);
    LayerUnpacking unpacking(layer, options_, interruption);
    RETURN_IF_ERROR(unpacking.Stream(source));
    if (!unpacking.self_contained()) {
      IndexBelow below(tree_, layer);
      RETURN_IF_ERROR(LayerSettler(unpacking.tree(), below, interruption).Settle());
    }
    RETURN_IF_ERROR(tree_.MoveOver(layer));
    if (unpacking.root_metadata().has_value())
      RETURN_IF_ERROR(tree_.SetDirectory("", *unpacking.root_metadata(), true));
    results_.push_back(unpacking.result());
    results_.back().self_contained = false;
    return absl::OkStatus();
  }

  IndexTree& tree() { return tree_; }
  std::vector<UnpackedLayer>& results() { return results_; }

 private:
  const UnpackOptions& options_;
  IndexTree tree_;
  std::vector<UnpackedLayer> results_;
};

// A name of a file, and where the file's content is to be found.
struct Name {
  uint32_t layer;
  uint32_t entry;
  uint32_t round;  // 0, but for copies of a file: a reading of the layer serves one of them
  FileId file;
  FileId directory;
  const std::string* name;  // in the index

  bool IsIn(uint32_t a_layer, uint32_t a_round) const { return layer == a_layer && round == a_round; }
};

// What the second one writes.
class TreeWriter {
 public:
  TreeWriter(const FileIndex& index, FileId root, TarWriter& tar) : index_(index), root_(root), tar_(tar) { List(); }

  absl::Status WriteDirectories() {
    for (const FileId directory : directories_) {
      TarEntry entry = Entry(directory, PathOf(directory));
      // It will be filled, by whomever.
      entry.metadata.mode |= S_IRWXU;
      RETURN_IF_ERROR(tar_.WriteHeader(entry));
    }
    return absl::OkStatus();
  }

  // What is in a directory before the directory.
  absl::Status WriteDirectoriesAgain() {
    for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory) {
      RETURN_IF_ERROR(tar_.WriteHeader(Entry(*directory, PathOf(*directory))));
      RETURN_IF_ERROR(WriteSymlinks(*directory));
    }
    return absl::OkStatus();
  }

  // Whether something is left to be written that a reading of the layer gives.
  bool Needs(uint32_t layer) const { return next_ < names_.size() && names_[next_].layer == layer; }

  // The files of one reading.
  absl::Status WriteFiles(uint32_t layer, TarReader& archive) {
    const uint32_t round = names_[next_].round;
    while (next_ < names_.size() && names_[next_].IsIn(layer, round)) {
      ASSIGN_OR_RETURN(const TarEntry* const source, archive.Next());
      if (source == nullptr) return absl::DataLossError("the archive is shorter than when it was read before");
      if (source->number != names_[next_].entry) continue;
      RETURN_IF_ERROR(WriteFile(archive));
    }
    return absl::OkStatus();
  }

 private:
  void List() {
    std::vector<FileId> rest = {root_};
    while (!rest.empty()) {
      const FileId directory = rest.back();
      rest.pop_back();
      directories_.push_back(directory);
      ListDirectory(directory, rest);
    }
    // Those of one file stay in the tree's order.
    std::stable_sort(names_.begin(), names_.end(), [](const Name& a, const Name& b) {
      return std::tie(a.layer, a.entry, a.file) < std::tie(b.layer, b.entry, b.file);
    });
    for (size_t i = 1; i < names_.size(); ++i) {
      const Name& before = names_[i - 1];
      Name& name = names_[i];
      const bool same_source = name.layer == before.layer && name.entry == before.entry;
      if (same_source) name.round = before.round + (name.file != before.file ? 1 : 0);
    }
    std::stable_sort(names_.begin(), names_.end(), [](const Name& a, const Name& b) {
      return std::tie(a.layer, a.round, a.entry) < std::tie(b.layer, b.round, b.entry);
    });
  }

  // The subdirectories go to `rest`, the first one last.
  void ListDirectory(FileId directory, std::vector<FileId>& rest) {
    const IndexedFile& file = index_[directory];
    if (file.extra == nullptr) return;
    const size_t before = rest.size();
    for (const auto& [name, child] : file.extra->children) {
      const IndexedFile& found = index_[child];
      if (found.is_directory()) {
        places_[child] = {directory, &name};
        rest.push_back(child);
      } else if (!S_ISLNK(found.mode)) {
        names_.push_back({found.layer, found.entry, 0, child, directory, &name});
      }
    }
    std::reverse(rest.begin() + static_cast<std::ptrdiff_t>(before), rest.end());
  }

  std::string PathOf(FileId directory) const {
    if (directory == root_) return std::string();
    std::vector<const std::string*> names;
    for (FileId at = directory; at != root_; at = places_.at(at).first) names.push_back(places_.at(at).second);
    std::string path;
    for (auto name = names.rbegin(); name != names.rend(); ++name)
      absl::StrAppend(&path, path.empty() ? "" : "/", **name);
    return path;
  }
  std::string PathOf(const Name& name) const { return JoinPath(PathOf(name.directory), *name.name); }

  // As the tree has it, whatever the archive said when it came.
  TarEntry Entry(FileId id, std::string path) const {
    const IndexedFile& file = index_[id];
    TarEntry entry;
    entry.name = path.empty() ? "./" : std::move(path);
    entry.metadata = file.Metadata();
    switch (file.mode & S_IFMT) {
      case S_IFDIR:
        entry.type = TarEntry::Type::kDirectory;
        break;
      case S_IFLNK:
        entry.type = TarEntry::Type::kSymlink;
        entry.link = file.extra->link;
        break;
      case S_IFCHR:
        entry.type = TarEntry::Type::kCharDevice;
        break;
      case S_IFBLK:
        entry.type = TarEntry::Type::kBlockDevice;
        break;
      case S_IFIFO:
        entry.type = TarEntry::Type::kFifo;
        break;
      default:
        entry.type = TarEntry::Type::kFile;
        entry.size = file.size;
    }
    entry.device_major = major(file.device);
    entry.device_minor = minor(file.device);
    return entry;
  }

  // The file whose content `archive` is at, by all its names.
  absl::Status WriteFile(TarReader& archive) {
    const FileId file = names_[next_].file;
    TarEntry entry = Entry(file, PathOf(names_[next_]));
    RETURN_IF_ERROR(tar_.WriteHeader(entry));
    if (entry.type == TarEntry::Type::kFile) RETURN_IF_ERROR(CopyContent(archive));
    entry.type = TarEntry::Type::kHardLink;
    entry.link = entry.name;
    for (++next_; next_ < names_.size() && names_[next_].file == file; ++next_) {
      entry.name = PathOf(names_[next_]);
      RETURN_IF_ERROR(tar_.WriteHeader(entry));
    }
    return absl::OkStatus();
  }

  absl::Status WriteSymlinks(FileId directory) {
    const IndexedFile& file = index_[directory];
    if (file.extra == nullptr) return absl::OkStatus();
    const std::string path = PathOf(directory);
    for (const auto& [name, child] : file.extra->children) {
      if (!S_ISLNK(index_[child].mode)) continue;
      TarEntry entry = Entry(child, JoinPath(path, name));
      if (index_[child].names > 1) {
        const auto [first, is_first] = written_symlinks_.emplace(child, entry.name);
        if (!is_first) {
          entry.type = TarEntry::Type::kHardLink;
          entry.link = first->second;
        }
      }
      RETURN_IF_ERROR(tar_.WriteHeader(entry));
    }
    return absl::OkStatus();
  }

  absl::Status CopyContent(TarReader& archive) {
    for (;;) {
      ASSIGN_OR_RETURN(const TarReader::Block block, archive.ReadBlock());
      if (block.data.empty()) return absl::OkStatus();
      RETURN_IF_ERROR(tar_.WriteContent(block.offset, block.data));
    }
  }

  const FileIndex& index_;
  const FileId root_;
  TarWriter& tar_;
  std::vector<FileId> directories_;                                            // in the tree's order
  absl::flat_hash_map<FileId, std::pair<FileId, const std::string*>> places_;  // of directories
  std::vector<Name> names_;  // of what is neither a directory nor a symlink, // in the order of the writing
  size_t next_ = 0;
  absl::flat_hash_map<FileId, std::string> written_symlinks_;  // of several names the one that was written first
};

absl::Status WriteLayer(const LayerSource& source, uint32_t number, const UnpackOptions& options, TreeWriter& writer) {
  LayerStream stream(source, options, Interruption(options.cancellation));
  TarReader archive([&stream] { return stream.Next(); }, options.limits.max_special_header_bytes);
  if (const absl::Status status = writer.WriteFiles(number, archive); !status.ok()) return stream.Explain(status);
  // Only now are the bytes known to be those that were verified.
  const absl::StatusOr<LayerStream::Totals> totals = stream.Finish(options.limits.max_unpacked_bytes);
  return totals.ok() ? absl::OkStatus() : stream.Explain(totals.status());
}

}  // namespace

absl::StatusOr<std::vector<UnpackedLayer>> ExportTar(absl::Span<const LayerSource> layers, const UnpackOptions& options,
                                                     const TarWriter::Sink& sink) {
  FileIndex index(options.limits.max_index_bytes);
  IndexUnpacking unpacking(index, options);
  for (uint32_t i = 0; i < layers.size(); ++i) {
    RETURN_IF_ERROR(Annotate(unpacking.Add(layers[i], i), layers[i].name));
  }
  TarWriter tar(sink);
  TreeWriter writer(index, unpacking.tree().root(), tar);
  RETURN_IF_ERROR(writer.WriteDirectories());
  for (uint32_t i = 0; i < layers.size(); ++i) {
    while (writer.Needs(i)) RETURN_IF_ERROR(Annotate(WriteLayer(layers[i], i, options, writer), layers[i].name));
  }
  RETURN_IF_ERROR(writer.WriteDirectoriesAgain());
  RETURN_IF_ERROR(tar.Finish());
  return std::move(unpacking.results());
}

}  // namespace sluice
