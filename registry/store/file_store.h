// What all kinds of store have in common: a blob is a file, in one place or in several.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "registry/store/store.h"

namespace sluice {

struct FileStoreOptions {
  std::string name;
  std::string path;
  std::vector<std::string> owned_hosts;
  bool owns_all = false;
  bool require_link = false;
};

// A kind says where blobs are and what a tag means. Thread-safe if these are.
class FileStore : public Store {
 public:
  explicit FileStore(FileStoreOptions options) : options_(std::move(options)) {}

  const std::string& name() const final { return options_.name; }
  const std::string& path() const final { return options_.path; }
  bool OwnsTagsOf(absl::string_view host) const final;

  absl::StatusOr<Descriptor> Resolve(const Reference& reference) const final;
  absl::StatusOr<std::string> ReadDocument(const Digest& digest, int64_t max_bytes,
                                           absl::Span<const Endpoint> origins) const final;
  std::string BlobPath(const Digest& digest, absl::Span<const Endpoint> origins) const final;
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest, std::optional<int64_t> size,
                                                       absl::Span<const Endpoint> origins) const final;

 protected:
  // A path below path(). True: it was the right one, and no other is wanted.
  using Visit = absl::FunctionRef<bool(const std::string& place)>;

  // The files that may be the blob, likeliest first.
  virtual void ForEachPlace(const Digest& digest, absl::Span<const Endpoint> origins, Visit visit) const = 0;
  // NotFound if the blob is not for those who know it by `origins`.
  virtual absl::Status MayServe(const Digest&, absl::Span<const Endpoint>) const { return absl::OkStatus(); }
  // The descriptor of a reference that has a tag and no digest.
  virtual absl::StatusOr<Descriptor> ResolveTag(const Reference& reference) const = 0;

  // The descriptor of a manifest or index by its bytes: media type by their shape, whether or not something names it.
  absl::StatusOr<Descriptor> Describe(const Digest& digest, absl::Span<const Endpoint> origins) const;
  // Whether `origin` can be a repository of this store; with require_link, whether it is one.
  bool IsHere(const Endpoint& origin) const;
  const FileStoreOptions& options() const { return options_; }

 private:
  // What `read` says of the first place that has it; else of the one that says most.
  template <typename Read>
  auto ReadFirst(const Digest& digest, absl::Span<const Endpoint> origins, const Read& read) const
      -> decltype(read(std::string()));

  const FileStoreOptions options_;
};

}  // namespace sluice
