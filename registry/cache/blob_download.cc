#include "registry/cache/blob_download.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/cache/whole_blob.h"

namespace sluice {

BlobDownload::BlobDownload(std::shared_ptr<const CacheSpace> space, const Digest& digest, int64_t size, BlobFetch fetch,
                           const Cancellation* cancellation)
    : space_(std::move(space)), digest_(digest), size_(size), fetch_(std::move(fetch)), cancellation_(cancellation) {}

absl::StatusOr<size_t> BlobDownload::Read(absl::Span<char> buffer) {
  if (finished_) return 0;
  const bool fits = position_ == 0 && size_ <= static_cast<int64_t>(buffer.size());
  absl::StatusOr<size_t> count = fits ? ReadAtOnce(buffer) : ReadPiece(buffer);
  if (!count.ok()) {
    // A download that brought nothing is nothing to go on from, and the space kept for it is gone with its file. Unless
    // somebody else has taken its name: then that is another file's.
    const bool is_empty = source_ == Source::kDownload && file_.has_value() && file_->Length() == 0;
    if (is_empty && file_->TryHold() == Ingest::Holder::kSelf) static_cast<void>(file_->Discard());
    file_.reset();
    network_.reset();
  }
  return count;
}

// A blob that fits into the buffer is verified before any of it is handed on: a bad file that an earlier download left
// costs a second fetch then, and is no error.
absl::StatusOr<size_t> BlobDownload::ReadAtOnce(absl::Span<char> buffer) {
  while (true) {
    int64_t filled = 0;
    absl::StatusOr<size_t> count;
    do {
      count = ReadPiece(buffer.subspan(filled));
      if (count.ok()) filled += static_cast<int64_t>(*count);
    } while (count.ok() && *count > 0 && filled < size_);
    if (count.ok()) return static_cast<size_t>(filled);
    if (!absl::IsDataLoss(count.status()) || !used_file_ || restarted_) return count.status();
    RETURN_IF_ERROR(Restart());
  }
}

absl::StatusOr<size_t> BlobDownload::ReadPiece(absl::Span<char> buffer) {
  const absl::Span<char> wanted = buffer.first(std::min<size_t>(buffer.size(), size_ - position_));
  size_t count = 0;
  while (count == 0) {
    if (cancellation_ != nullptr) RETURN_IF_ERROR(Annotate(cancellation_->Check(), digest_.ToString()));
    if (source_ == Source::kNone) RETURN_IF_ERROR(ChooseSource());
    if (source_ == Source::kWhole) return whole_->Read(buffer);
    if (wanted.empty()) break;
    const bool from_file = source_ == Source::kFollow || position_ < file_end_;
    ASSIGN_OR_RETURN(count, from_file ? ReadFile(wanted) : ReadNetwork(wanted));
  }
  sha256_.Update(absl::string_view(wanted.data(), count));
  position_ += static_cast<int64_t>(count);
  if (position_ == size_) RETURN_IF_ERROR(Finish());
  return count;
}

absl::StatusOr<size_t> BlobDownload::ReadFile(absl::Span<char> buffer) {
  if (source_ == Source::kFollow && !shares_file_) shares_file_ = file_->Length() >= size_ && file_->TryShare();
  const absl::StatusOr<size_t> count = file_->Read(position_, buffer);
  if (count.ok() && *count > 0) {
    used_file_ = true;
    pause_.Reset();
    return count;
  }
  if (count.ok() && source_ == Source::kFollow) {
    RETURN_IF_ERROR(TakeOverOrWait());
  } else {
    GoPastCache();
    file_end_ = 0;
  }
  return 0;
}

absl::StatusOr<size_t> BlobDownload::ReadNetwork(absl::Span<char> buffer) {
  if (network_ == nullptr) {
    ASSIGN_OR_RETURN(network_, fetch_(position_));
  }
  ASSIGN_OR_RETURN(const size_t count, network_->Read(buffer));
  if (count == 0) {
    if (source_ == Source::kDownload) GoPastCache();
    return absl::DataLossError(absl::StrCat(digest_.ToString(), ": ends after ", position_, " of ", size_, " bytes"));
  }
  if (source_ == Source::kDownload && !file_->Append(position_, absl::string_view(buffer.data(), count)).ok()) {
    GoPastCache();
  }
  return count;
}

absl::Status BlobDownload::ChooseSource() {
  while (!UseWhole()) {
    absl::StatusOr<Ingest> file = OpenIngest();
    if (absl::IsCancelled(file.status())) return file.status();
    if (!file.ok()) {
      GoPastCache();
      return absl::OkStatus();
    }
    const Ingest::Holder holder = file->TryHold();
    if (holder == Ingest::Holder::kNone) continue;
    file_ = *std::move(file);
    if (holder == Ingest::Holder::kOther) {
      source_ = Source::kFollow;
      return absl::OkStatus();
    }
    if (UseWhole()) {
      // Published after the first look, and the file made anew since.
      static_cast<void>(file_->Discard());
      return absl::OkStatus();
    }
    // What no download of this blob began is no beginning of it.
    if (file_->Length() <= size_ && !file_->HasOtherNames()) return StartDownload();
    if (!file_->Discard().ok()) {
      GoPastCache();
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

bool BlobDownload::UseWhole() {
  absl::StatusOr<std::unique_ptr<ByteReader>> whole = OpenWholeBlob(directory(), digest_, size_);
  if (!whole.ok()) return false;
  whole_ = *std::move(whole);
  source_ = Source::kWhole;
  return true;
}

absl::StatusOr<Ingest> BlobDownload::OpenIngest() const {
  absl::StatusOr<Ingest> file = Ingest::Open(directory(), digest_);
  if (!absl::IsResourceExhausted(file.status())) return file;
  // No inode is left for the file: another blob has to go first.
  ASSIGN_OR_RETURN(const LayoutLock lock, directory().Lock(cancellation_));
  ASSIGN_OR_RETURN(const bool fits, space_->MakeRoom(lock, 0));
  if (!fits) return file;
  return Ingest::Open(directory(), digest_);
}

// The file has nothing more, and another one was appending to it.
absl::Status BlobDownload::TakeOverOrWait() {
  const Ingest::Holder holder = file_->TryHold();
  if (holder == Ingest::Holder::kOther) return pause_.Next(cancellation_);
  if (holder == Ingest::Holder::kSelf) return StartDownload();
  // Its length is final; but it may have grown before it lost its name, as when it was published.
  if (file_->Length() > position_) return absl::OkStatus();
  // What was hashed until here was in this file, and says nothing about a new one: that can't be continued.
  source_ = position_ == 0 ? Source::kNone : Source::kPast;
  return absl::OkStatus();
}

absl::Status BlobDownload::StartDownload() {
  source_ = Source::kDownload;
  file_end_ = file_->Length();
  if (file_end_ == size_) return absl::OkStatus();
  const absl::StatusOr<bool> fits = space_->Reserve(file_->fd(), size_, cancellation_);
  if (absl::IsCancelled(fits.status())) return fits.status();
  if (!fits.ok() || !*fits) GoPastCache();
  return absl::OkStatus();
}

// What the file has can still be read here, but nobody will continue it.
void BlobDownload::GoPastCache() {
  if (source_ == Source::kDownload) static_cast<void>(file_->Discard());
  source_ = Source::kPast;
}

absl::Status BlobDownload::Finish() {
  finished_ = true;
  network_.reset();
  const Digest actual = sha256_.Finish();
  // A follower gets to hold it if the downloader died after the last byte.
  if (source_ != Source::kPast && file_->TryHold() == Ingest::Holder::kSelf) {
    const bool good = actual == digest_ && file_->Length() == size_;
    // That a blob cannot be kept is no loss to who reads it.
    static_cast<void>(good ? file_->Publish() : file_->Discard());
  }
  if (actual == digest_) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(digest_.ToString(), ": its ", size_, " bytes have ", actual.ToString()));
}

// Nothing was handed on yet, and what was in the file is wrong: it goes, and all is fetched.
absl::Status BlobDownload::Restart() {
  Pause pause;
  Ingest::Holder holder = file_->TryHold();
  for (; holder == Ingest::Holder::kOther; holder = file_->TryHold()) RETURN_IF_ERROR(pause.Next(cancellation_));
  if (holder == Ingest::Holder::kSelf) static_cast<void>(file_->Discard());
  file_.reset();
  network_.reset();
  source_ = Source::kNone;
  file_end_ = 0;
  shares_file_ = false;
  sha256_ = Sha256();
  position_ = 0;
  used_file_ = false;
  finished_ = false;
  restarted_ = true;
  return absl::OkStatus();
}

}  // namespace sluice
