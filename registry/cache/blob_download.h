// A blob that is read while it is downloaded, by this reader or by another one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "base/sha256.h"
#include "registry/cache/cache_space.h"
#include "registry/cache/file_lock.h"
#include "registry/cache/ingest.h"

namespace sluice {

// The bytes of a blob from an offset on.
using BlobFetch = std::function<absl::StatusOr<std::unique_ptr<ByteReader>>(int64_t offset)>;

// Starts with the first Read. Hands on what lies in the ingest file, then, if it is the downloader, what it fetches and
// appends there, else what the downloader appends; becomes the downloader when that one is gone. All that is handed on
// is hashed, and the last of it only once the whole is verified.
//
// Errors: DataLoss another digest, or an early end; the fetch's own. After an error the lock is free at once, and
// others go on. What goes wrong with the cache's disk is none: the rest is fetched past the cache.
class BlobDownload : public ByteReader {
 public:
  // `cancellation` is borrowed, may be null. REQUIRES: size >= 0.
  BlobDownload(std::shared_ptr<const CacheSpace> space, const Digest& digest, int64_t size, BlobFetch fetch,
               const Cancellation* cancellation);

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override;

 private:
  enum class Source {
    kNone,      // to be chosen
    kWhole,     // the blob is there, since a moment ago
    kFollow,    // the file, to which another one appends
    kDownload,  // the file up to file_end_, then the network, into the file
    kPast,      // the file up to file_end_, then the network, past the cache
  };

  absl::StatusOr<size_t> ReadAtOnce(absl::Span<char> buffer);
  absl::StatusOr<size_t> ReadPiece(absl::Span<char> buffer);
  // These return 0 if there is nothing yet, or another source has to be asked.
  absl::StatusOr<size_t> ReadFile(absl::Span<char> buffer);
  absl::StatusOr<size_t> ReadNetwork(absl::Span<char> buffer);

  absl::Status ChooseSource();
  bool UseWhole();
  absl::StatusOr<Ingest> OpenIngest() const;
  absl::Status TakeOverOrWait();
  absl::Status StartDownload();
  void GoPastCache();
  absl::Status Finish();
  absl::Status Restart();

  const CacheDirectory& directory() const { return space_->directory(); }

  const std::shared_ptr<const CacheSpace> space_;
  const Digest digest_;
  const int64_t size_;
  const BlobFetch fetch_;
  const Cancellation* const cancellation_;

  Source source_ = Source::kNone;
  std::unique_ptr<ByteReader> whole_;
  std::optional<Ingest> file_;
  int64_t file_end_ = 0;
  bool shares_file_ = false;
  std::unique_ptr<ByteReader> network_;
  Pause pause_;

  Sha256 sha256_;
  int64_t position_ = 0;    // bytes hashed
  bool used_file_ = false;  // some of them were in the file before
  bool restarted_ = false;
  bool finished_ = false;
};

}  // namespace sluice
